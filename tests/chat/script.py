"""Providers that do what a test says, in place of those that are asked over the network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from maimconfig.providers.types import Ask, Attempt, Delta, Endpoint, Failure, Outcome, Target

TARGET = Target(
    name="script",
    identifier="script-1",
    endpoint=Endpoint("system", "stage", "http://stage.invalid/v1", (), trusted=True),
    price_in=Decimal("2"),
    price_out=Decimal("6"),
)
TOKENS_IN = 7

Step = str | threading.Event | Failure


class Script:
    """Stands for `runtime.providers`.

    Attributes:
        steps: what each reply does: says a text, waits silently for an event, or fails.
        asks: what was asked, in order.
        cancelled: how many replies were given up.
    """

    def __init__(self, steps: Sequence[Step] = ("好的",)) -> None:
        self.steps = steps
        self.asks: list[Ask] = []
        self.cancelled = 0
        self.begun = threading.Event()

    def start(self, targets: Sequence[Target], ask: Ask) -> ScriptedReply:
        """Begin a reply."""
        self.asks.append(ask)
        self.begun.set()
        return ScriptedReply(self, list(self.steps))

    def targets(self) -> tuple[Target, ...]:
        """The one there is."""
        return (TARGET,)

    def estimate(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """What prompts are thought to be."""
        return TOKENS_IN

    def close(self) -> None:
        """Nothing is open."""


class ScriptedReply:
    """One reply, with a token for each character."""

    def __init__(self, script: Script, steps: list[Step]) -> None:
        self._script = script
        self._steps = steps
        self._said = ""
        self._failure: Failure | None = None
        self._given_up = threading.Event()
        self._began = time.monotonic()

    def next(self, timeout: float) -> Delta | Outcome | None:
        """The next piece, or the end."""
        deadline = time.monotonic() + timeout
        while self._steps and not self._given_up.is_set():
            step = self._steps[0]
            if isinstance(step, threading.Event) and not step.is_set():
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.005)
                continue
            self._steps.pop(0)
            if isinstance(step, Failure):
                self._failure = step
                self._steps = []
            elif isinstance(step, str):
                self._said += step
                return Delta(step)
        return self._outcome()

    def wait(self) -> Outcome:
        """Run to the end."""
        while not isinstance(event := self.next(60), Outcome):
            pass
        return event

    def cancel(self) -> None:
        """Give up."""
        if self._steps:
            self._script.cancelled += 1
        self._given_up.set()

    def _outcome(self) -> Outcome:
        aborted = bool(self._steps) and self._given_up.is_set()
        whole = self._failure is None and not aborted
        milliseconds = round((time.monotonic() - self._began) * 1000)
        return Outcome(
            text=self._said,
            target=TARGET,
            finish_reason="stop" if whole else None,
            tokens_in=TOKENS_IN if self._said else 0,
            tokens_out=len(self._said),
            estimated=not whole,
            failure=self._failure,
            retry_after=9 if self._failure is Failure.RATE_LIMITED else None,
            aborted=aborted,
            attempts=(Attempt("script", "stage", self._failure, 200, milliseconds),),
            first_delta_ms=1 if self._said else None,
            milliseconds=milliseconds,
        )
