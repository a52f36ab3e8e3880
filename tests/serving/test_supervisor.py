"""The parent's patience with workers that don't do well."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from tests.serving.harness import Toy, eventually, state

Start = Callable[..., Toy]


def test_gives_up(start: Start) -> None:
    """When so many workers in a row die young, and none lives, all is given up with exit 1."""
    toy = start(script="mayfly.py", mode="all die")
    assert toy.ended() == 1
    assert "5 workers died young in a row: giving up" in toy.errors
    assert 5 <= len(toy.notes("born")) <= 7


def test_one_healthy_worker_is_enough(start: Start) -> None:
    """While one worker lives the other is tried again and again."""
    toy = start(script="mayfly.py", mode="one dies")
    time.sleep(1.5)  # until the healthy one counts as started
    tried = len(toy.notes("born"))
    eventually(lambda: len(toy.notes("born")) > tried + 6)
    assert toy.terminate() == 0
    assert "giving up" not in toy.errors


def test_failing_newcomer(start: Start) -> None:
    """A rolling restart whose first newcomer can't start is called off; the old ones stay."""
    toy = start(script="mayfly.py", mode="newcomers fail")
    eventually(lambda: len(toy.notes("born")) == 2)
    before = eventually(lambda: len(toy.workers()) == 2 and toy.workers())
    toy.signal(signal.SIGHUP)
    eventually(lambda: len(toy.notes("born")) == 3)
    eventually(lambda: toy.workers() == before)
    time.sleep(0.5)
    assert toy.workers() == before
    assert len(toy.notes("born")) == 3
    assert toy.terminate() == 0
    assert "failed to start: exit code 1; the old ones stay" in toy.errors


def test_hanging_newcomer(start: Start) -> None:
    """A newcomer that isn't ready in time is killed, and the old ones stay."""
    toy = start(script="mayfly.py", mode="newcomers hang", start=1)
    eventually(lambda: len(toy.notes("born")) == 2)
    before = eventually(lambda: len(toy.workers()) == 2 and toy.workers())
    toy.signal(signal.SIGHUP)
    eventually(lambda: len(toy.workers()) == 3)
    eventually(lambda: toy.workers() == before)
    assert toy.terminate() == 0
    assert "takes too long and is killed" in toy.errors


def test_old_ones_that_end_badly(start: Start) -> None:
    """An old worker that ends badly in a rolling restart is told of, and doesn't stop it."""
    toy = start(script="mayfly.py", mode="old ones end badly")
    eventually(lambda: len(toy.notes("born")) == 2)
    before = eventually(lambda: len(toy.workers()) == 2 and toy.workers())
    toy.signal(signal.SIGHUP)
    eventually(lambda: len(toy.workers()) == 2 and not toy.workers() & before)
    assert toy.terminate() == 0
    assert toy.errors.count("ended badly: exit code 7") == 2


def test_no_process_at_start(launch: Start) -> None:
    """When the system has no process for the first worker, a sentence says so."""
    toy = launch(script="mayfly.py", mode="live", failing_forks=[1])
    assert toy.ended() == 1
    assert toy.errors == "no process for a worker: Resource temporarily unavailable"


def test_no_process_later(start: Start) -> None:
    """When the system has no process for a later worker, it's asked again after a while."""
    toy = start(script="mayfly.py", mode="live", failing_forks=[2, 3])
    eventually(lambda: len(toy.workers()) == 2)
    assert toy.terminate() == 0
    assert toy.errors.count("no process for worker 1") == 2


def test_bad_end(start: Start) -> None:
    """A worker that ends badly when all are stopped makes the exit code 1."""
    toy = start(script="mayfly.py", mode="ends badly")
    eventually(lambda: len(toy.notes("born")) == 2)
    time.sleep(0.3)
    assert toy.terminate() == 1


def test_stubborn_worker(start: Start) -> None:
    """A worker that is stopped (SIGSTOP) and so can't drain is killed in the end."""
    toy = start(script="mayfly.py", mode="live", drain=2)
    workers = eventually(lambda: len(toy.workers()) == 2 and toy.workers())
    os.kill(min(workers), signal.SIGSTOP)
    eventually(lambda: state(min(workers)) == "T")
    assert toy.terminate() == 1
    assert f"(pid {min(workers)}) takes too long and is killed" in toy.errors
