"""Whom chats ask: the one place where they meet the providers.

With no provider the built-in offline one answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from maimconfig.providers.types import Ask, Delta, Outcome, Target

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

TASK = "replyer"
_PIECE = 20  # characters


class Reply(Protocol):
    """A reply under way."""

    def next(self, timeout: float) -> Delta | Outcome | None:
        """The next piece, the outcome as the last one, None when nothing came in time."""

    def cancel(self) -> None:
        """Give up; the outcome says so."""

    def wait(self) -> Outcome:
        """The outcome, when it is there."""


class Providers(Protocol):
    """What makes replies, once a process."""

    def start(self, targets: Sequence[Target], ask: Ask) -> Reply:
        """Begin a reply; what fails is told by its outcome."""

    def close(self) -> None:
        """End all replies and close all connections."""


def targets(runtime: Runtime, tenant_id: str, config: Mapping[str, Any]) -> Sequence[Target]:
    """The models that answer an agent's chats, in order.

    Args:
        config: the agent's effective configuration, secrets in the clear.
    """
    return ()


def estimate(messages: Iterable[Mapping[str, Any]]) -> int:
    """How many tokens a prompt is thought to have: one a character, for a reservation."""
    return sum(len(str(message.get("content"))) for message in messages)


class OfflineProviders:
    """Makes replies without asking anybody."""

    def start(self, targets: Sequence[Target], ask: Ask) -> Reply:
        """Begin a reply."""
        return OfflineReply(ask)

    def close(self) -> None:
        """Nothing is open."""


class OfflineReply:
    """A reply that is there at once, told in pieces where a stream is wanted."""

    def __init__(self, ask: Ask) -> None:
        self._text = ask.offline()
        self._told = 0 if ask.stream else len(self._text)
        self._tokens_in = estimate(ask.messages)
        self._cancelled = False

    def next(self, timeout: float) -> Delta | Outcome | None:
        """The next piece; the outcome as the last one."""
        piece = self._text[self._told : self._told + _PIECE]
        if self._cancelled or not piece:
            return self.wait()
        self._told += len(piece)
        return Delta(piece)

    def cancel(self) -> None:
        """Tell no more."""
        self._cancelled = self._told < len(self._text)

    def wait(self) -> Outcome:
        """The outcome, with all that was told unless it was cancelled."""
        text = self._text[: self._told] if self._cancelled else self._text
        return Outcome(
            text=text,
            target=None,
            finish_reason=None if self._cancelled else "stop",
            tokens_in=self._tokens_in if text else 0,
            tokens_out=len(text),
            estimated=True,
            failure=None,
            retry_after=None,
            aborted=self._cancelled,
            attempts=(),
            first_delta_ms=0 if text else None,
            milliseconds=0,
        )
