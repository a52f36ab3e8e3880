"""The circuit breaker: an endpoint that keeps failing is left out for a while.

    closed --5 failures, and half of what was asked, within a minute--> open
    open --half a minute--> half open: one request at a time is let through to see
    half open --it was answered--> closed        half open --it failed--> open

Pure: the time is handed in. Results come late, so each belongs to the permit its request was let
through with; one from before the last change of state tells nothing of now.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

FAILURES = 5
SHARE = 0.5
WINDOW_SECONDS = 60.0
REST_SECONDS = 30.0
REMEMBERED = 200


class State(Enum):
    """Of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """A request was let through; its result goes to `Breaker.record`."""

    age: int
    probe: bool


class Breaker:
    """Of one endpoint; times are seconds of any clock that only goes forward."""

    def __init__(self, rest_seconds: float = REST_SECONDS) -> None:
        self._rest = rest_seconds
        self._results: deque[tuple[float, bool]] = deque(maxlen=REMEMBERED)
        self._open_until: float | None = None
        self._probing = False
        self._age = 0

    def state(self, now: float) -> State:
        """Of this moment."""
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def open_seconds(self, now: float) -> float | None:
        """How long it stays open; None when it isn't."""
        if self._open_until is None or now >= self._open_until:
            return None
        return self._open_until - now

    def recent_failures(self, now: float) -> int:
        """Failures within the window."""
        return sum(failed for at, failed in self._results if at > now - WINDOW_SECONDS)

    def is_idle(self, now: float) -> bool:
        """Whether there is nothing to remember."""
        last = self._results[-1][0] if self._results else now - WINDOW_SECONDS
        return self._open_until is None and last <= now - WINDOW_SECONDS

    def admit(self, now: float) -> Permit | None:
        """A permit for a request; None when it may not be sent."""
        state = self.state(now)
        if state is State.CLOSED:
            return Permit(self._age, probe=False)
        if state is State.OPEN or self._probing:
            return None
        self._probing = True
        return Permit(self._age, probe=True)

    def record(self, permit: Permit, failed: bool | None, now: float) -> bool:
        """Take in a result; every permit must come back, once.

        Args:
            failed: None when it is unknown, such as after a cancel.

        Returns:
            whether the breaker opened by this.
        """
        if permit.age != self._age:
            return False
        if permit.probe:
            self._probing = False
        if failed is None:
            return False
        if permit.probe and not failed:
            self._change(None)
            return False
        self._results.append((now, failed))
        if permit.probe or (failed and self._is_too_much(now)):
            self._change(now + self._rest)
            return True
        return False

    def _is_too_much(self, now: float) -> bool:
        recent = [failed for at, failed in self._results if at > now - WINDOW_SECONDS]
        return sum(recent) >= FAILURES and sum(recent) >= SHARE * len(recent)

    def _change(self, open_until: float | None) -> None:
        self._open_until = open_until
        self._probing = False
        self._age += 1
        if open_until is None:
            self._results.clear()
