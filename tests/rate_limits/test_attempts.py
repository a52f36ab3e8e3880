"""Attempts that count when they fail, without passwords."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from maimconfig.http.errors import RateLimited
from maimconfig.rate_limits import attempts
from maimconfig.rate_limits.attempts import Attempt, Undecided
from maimconfig.runtime import Runtime

LIMIT = 2
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    """A clock that stands still until it is shifted."""
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as traveller:
        yield traveller


def begin(runtime: Runtime, *subjects: str) -> Attempt:
    """Ask for an attempt, of whose subjects some may be met for the first time."""
    of = subjects or ("x",)
    return runtime.write(lambda session: attempts.begin(session, of, limit=LIMIT, window=MINUTE))


def look(runtime: Runtime, *subjects: str) -> list[str]:
    """Ask without a write."""
    return runtime.read(
        lambda session: attempts.look(session, subjects, limit=LIMIT, window=MINUTE)
    )


def end(runtime: Runtime, attempt: Attempt, *, failed: bool) -> None:
    """Say how it ended."""
    runtime.write(lambda session: attempts.end(session, attempt, failed=failed))


def test_failures_count(runtime: Runtime, clock: Any) -> None:
    """After as many failures as allowed there is no attempt more in the window."""
    for _ in range(LIMIT):
        end(runtime, begin(runtime), failed=True)
    clock.shift(10)
    with pytest.raises(RateLimited) as refused:
        begin(runtime)
    assert refused.value.headers["Retry-After"] == "50"
    clock.shift(50)
    begin(runtime)


def test_successes_dont(runtime: Runtime) -> None:
    """What succeeds is given back."""
    for _ in range(3 * LIMIT):
        end(runtime, begin(runtime), failed=False)
    end(runtime, begin(runtime), failed=True)
    begin(runtime)


def test_under_way(runtime: Runtime) -> None:
    """While others are under way it isn't decided; how they end decides it."""
    first, second = begin(runtime), begin(runtime)
    with pytest.raises(Undecided):
        begin(runtime)
    end(runtime, first, failed=True)
    with pytest.raises(Undecided):
        begin(runtime)
    end(runtime, second, failed=False)
    third = begin(runtime)
    end(runtime, third, failed=True)
    with pytest.raises(RateLimited):
        begin(runtime)


def test_died(runtime: Runtime, clock: Any) -> None:
    """What died under way isn't waited for, and counts as failed."""
    for _ in range(LIMIT):
        begin(runtime)
    clock.shift(attempts.FORGOTTEN_AFTER.total_seconds())
    with pytest.raises(RateLimited):
        begin(runtime)
    clock.shift(MINUTE.total_seconds())
    end(runtime, begin(runtime), failed=True)


def test_no_gift_to_the_next_window(runtime: Runtime, clock: Any) -> None:
    """What was counted in an earlier window gives nothing back to this one."""
    clock.shift(-30)
    early = [begin(runtime) for _ in range(LIMIT)]
    clock.shift(60)
    for _ in range(LIMIT):
        end(runtime, begin(runtime), failed=True)
    for attempt in early:
        end(runtime, attempt, failed=False)
    with pytest.raises(RateLimited):
        begin(runtime)


def test_refused_counts_for_none(runtime: Runtime) -> None:
    """An attempt that one of its subjects refuses takes nothing of the others."""
    for _ in range(LIMIT):
        end(runtime, begin(runtime, "y"), failed=True)
    for _ in range(2 * LIMIT):
        with pytest.raises(RateLimited):
            begin(runtime, "x", "y")
    begin(runtime, "x")


def test_look(runtime: Runtime, clock: Any) -> None:
    """Without a write it's known which windows are missing, and what is refused in any case."""
    assert look(runtime, "x", "y") == ["x", "y", "now:x", "now:y"]
    under_way = [begin(runtime) for _ in range(LIMIT)]
    assert look(runtime, "x") == []
    for attempt in under_way:
        end(runtime, attempt, failed=True)
    clock.shift(10)
    with pytest.raises(RateLimited) as refused:
        look(runtime, "x", "y")
    assert refused.value.headers["Retry-After"] == "50"
    clock.shift(50)
    assert look(runtime, "x") == []


def test_at_once(runtime: Runtime) -> None:
    """Of 40 at the same time no more than the limit are under way."""

    def ask(_: int) -> bool:
        try:
            begin(runtime, "x", "y")
        except Undecided:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(ask, range(40))) == LIMIT
