"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile

from maimconfig.webhooks import schedule


def delays(chance: float) -> list[timedelta]:
    """What is waited after each attempt, until the delivery is given up."""
    waits = (schedule.delay(attempts, lambda: chance) for attempts in range(1, 100))
    return list(takewhile(lambda wait: wait is not None, waits))


def test_back_off() -> None:
    """After 5 s, then ever later, for about a day; then it is given up."""
    soonest = delays(0.0)
    assert [wait.total_seconds() for wait in soonest[:4]] == [5, 30, 120, 600]
    assert soonest == sorted(soonest)
    assert sum(soonest, timedelta()) == schedule.WHOLE_TIME > timedelta(hours=22)


def test_jitter() -> None:
    """What failed together is spread over a fifth of the wait."""
    for soonest, latest in zip(delays(0.0), delays(0.999999), strict=True):
        assert soonest < latest <= soonest * (1 + schedule.JITTER)
