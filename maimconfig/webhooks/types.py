"""What the parts of delivery hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that this process has to send.

    Attributes:
        claim: under which it has it.
        attempts: that failed before.
        is_failing: nothing has reached its endpoint lately.
    """

    id: str
    tenant_id: str
    webhook_id: str
    claim: str
    attempts: int
    body: str
    url: str
    sealed_secret: str
    is_failing: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt went.

    Attributes:
        status: of the endpoint's answer; None when there was none.
        error: None when it was delivered, else address_refused, timeout, unreachable, broken,
            redirect, gone or status.
        duration_ms: how long it took.
    """

    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended, and when."""

    due: Due
    answer: Answer
    moment: datetime
