"""Rate limits, without HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from maimconfig.rate_limits import service
from maimconfig.rate_limits.models import RateWindow
from maimconfig.rate_limits.service import RateVerdict
from maimconfig.runtime import Runtime

NOW = "2026-11-23T08:00:00Z"
MINUTE = timedelta(minutes=1)


def take(
    runtime: Runtime, limit: int = 2, subject: str = "x", window: timedelta = MINUTE
) -> RateVerdict:
    """Count one request."""
    return runtime.write(lambda session: service.take(session, subject, limit=limit, window=window))


def look(runtime: Runtime, limit: int = 2, window: timedelta = MINUTE) -> RateVerdict:
    """Count nothing."""
    return runtime.read(lambda session: service.look(session, "x", limit=limit, window=window))


def test_window(runtime: Runtime) -> None:
    """A window lets its limit through, then nothing, and ends its seconds after it began."""
    with time_machine.travel(NOW, tick=False) as clock:
        assert take(runtime) == RateVerdict(True, 2, 1, 60)
        clock.shift(10)
        assert take(runtime) == RateVerdict(True, 2, 0, 50)
        assert take(runtime) == RateVerdict(False, 2, 0, 50)
        clock.shift(49.5)
        assert take(runtime) == RateVerdict(False, 2, 0, 1)
        clock.shift(0.5)
        assert take(runtime) == RateVerdict(True, 2, 1, 60)


@time_machine.travel(NOW, tick=False)
def test_look(runtime: Runtime) -> None:
    """Looking tells what is left and counts nothing."""
    assert look(runtime) == RateVerdict(True, 2, 2, 60)
    take(runtime)
    for _ in range(3):
        assert look(runtime) == RateVerdict(True, 2, 1, 60)


@pytest.mark.parametrize("limit", [0, 1])
@time_machine.travel(NOW, tick=False)
def test_small_limits(limit: int, runtime: Runtime) -> None:
    """A limit of none lets nothing through, a limit of one one."""
    allowed = [take(runtime, limit=limit).allowed for _ in range(3)]
    assert allowed == [limit == 1, False, False]


@time_machine.travel(NOW, tick=False)
def test_subjects(runtime: Runtime) -> None:
    """Each subject has its own window; names are compared exactly."""
    for subject in ("x", "X", "é", "e"):
        assert take(runtime, limit=1, subject=subject).allowed


@time_machine.travel(NOW, tick=False)
def test_lowered_limit(runtime: Runtime) -> None:
    """A limit below what is used up already has nothing left, not less."""
    for _ in range(3):
        take(runtime, limit=5)
    assert take(runtime, limit=2) == RateVerdict(False, 2, 0, 60)


@time_machine.travel(NOW, tick=False)
def test_shorter_window(runtime: Runtime) -> None:
    """A window is as long as the limit says now."""
    take(runtime, limit=1)
    with time_machine.travel("2026-11-23T08:00:10Z", tick=False):
        assert take(runtime, limit=1, window=timedelta(seconds=10)).allowed


def test_headers() -> None:
    """A verdict is told in the RateLimit headers."""
    assert RateVerdict(True, 5, 4, 30).headers == {
        "RateLimit-Limit": "5",
        "RateLimit-Remaining": "4",
        "RateLimit-Reset": "30",
    }


@pytest.mark.parametrize("first", [True, False])
def test_at_once(first: bool, runtime: Runtime) -> None:
    """Of 40 requests at the same time exactly the limit is let through, in a new window too."""
    if not first:
        with time_machine.travel("2020-01-01T00:00:00Z", tick=False):
            take(runtime)
    with ThreadPoolExecutor(10) as pool:
        verdicts = list(pool.map(lambda _: take(runtime, limit=15), range(40)))
    assert sum(verdict.allowed for verdict in verdicts) == 15


def test_nobody_is_refused_below_the_limit(runtime: Runtime) -> None:
    """Of those who make a new window at the same time none is refused."""
    with ThreadPoolExecutor(10) as pool:
        for turn in range(20):
            taken = pool.map(
                lambda _, of=f"x{turn}": take(runtime, limit=10, subject=of), range(10)
            )
            assert all(verdict.allowed for verdict in taken)


def test_old_windows_are_forgotten(runtime: Runtime) -> None:
    """Windows that ended are deleted: those of keys after a year, those that anybody makes after a
    day."""
    for day, subject in (
        ("2020-01-01", "key:old"), ("2036-01-01", "key:new"),
        ("2036-05-30", "login:name:old"), ("2036-06-01", "login:name:new"),
    ):  # fmt: skip
        with time_machine.travel(f"{day}T00:00:00Z", tick=False):
            take(runtime, subject=subject)
    with time_machine.travel("2036-06-01T12:00:00Z", tick=False):
        runtime.write(service.forget_old)
    left = runtime.read(lambda session: session.scalars(select(RateWindow.subject)).all())
    assert set(left) == {"key:new", "login:name:new"}
