"""Several processes: replaced, renewed, and never orphaned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.serving.harness import Crowd, Toy, eventually, lives

Start = Callable[..., Toy]


@pytest.fixture
def toy(start: Start) -> Toy:
    """A service of two workers, both up."""
    toy = start(workers=2)
    eventually(lambda: len(toy.pids()) == 2)
    return toy


def test_both_workers_serve_both_planes(toy: Toy) -> None:
    """The listeners are shared: each worker answers on each plane, and the parent on none."""
    with Crowd(toy) as crowd:
        crowd.warm_up(500)
    assert set(crowd.pids) == toy.workers()
    assert toy.process.pid not in crowd.pids
    assert toy.terminate() == 0
    assert toy.closed() >= crowd.answered


def test_killed_worker_is_replaced(toy: Toy) -> None:
    """kill -9 of one worker: the other goes on, and soon there are two again."""
    before = toy.workers()
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not lives(victim))
    assert toy.get()["pid"] in before - {victim}
    eventually(lambda: len(toy.workers()) == 2 and toy.pids() == toy.workers())
    assert victim not in toy.workers()
    assert toy.terminate() == 0
    assert f"(pid {victim}) ended unasked: signal 9" in toy.errors


def test_worker_told_to_end(toy: Toy) -> None:
    """A worker that somebody sends SIGTERM drains, loses nothing, and is replaced."""
    before = toy.workers()
    with Crowd(toy) as crowd:
        crowd.warm_up()
        os.kill(min(before), signal.SIGTERM)
        eventually(lambda: len(toy.workers() - before) == 1 and len(toy.workers()) == 2)
        crowd.warm_up()
    assert not crowd.lost
    assert not crowd.refused
    assert toy.terminate() == 0


def test_no_orphans(toy: Toy) -> None:
    """kill -9 of the parent: its workers drain and end by themselves."""
    workers = toy.workers()
    toy.process.kill()
    eventually(lambda: not any(lives(pid) for pid in workers))
    assert {int(pid) for _, _, pid in toy.notes("close")} == workers


def test_rolling_restart(toy: Toy) -> None:
    """SIGHUP under load replaces every worker, one by one, and no request is lost or refused."""
    before = toy.workers()
    with Crowd(toy) as crowd:
        crowd.warm_up()
        toy.signal(signal.SIGHUP)
        eventually(lambda: len(toy.workers()) == 2 and not toy.workers() & before)
        crowd.warm_up()
        after = eventually(lambda: len(toy.pids()) == 2 and toy.workers())
        crowd.warm_up()
    assert not crowd.lost
    assert not crowd.refused
    assert set(crowd.pids) <= before | after
    assert toy.terminate() == 0
    assert toy.closed() >= crowd.answered
    assert {int(pid) for _, pid in toy.notes("drain")} == before | after


def test_second_rolling_restart(toy: Toy) -> None:
    """A SIGHUP in the middle of a rolling restart is not lost: all are renewed after it."""
    toy.signal(signal.SIGHUP)
    newcomers = eventually(lambda: len(toy.workers()) == 3 and toy.workers())
    toy.signal(signal.SIGHUP)
    eventually(lambda: len(toy.workers()) == 2 and not toy.workers() & newcomers)
    assert len(toy.pids()) == 2
    assert toy.terminate() == 0


def test_sigterm_during_rolling_restart(toy: Toy) -> None:
    """SIGTERM in the middle of a rolling restart ends old and new workers well."""
    toy.signal(signal.SIGHUP)
    eventually(lambda: len(toy.workers()) == 3)
    assert toy.terminate() == 0


def test_ctrl_c_reaches_the_group(start: Start) -> None:
    """Ctrl-C goes to every process of the group; the workers leave it to the parent and drain."""
    toy = start(workers=2)
    eventually(lambda: len(toy.pids()) == 2)
    workers = toy.workers()
    with Crowd(toy) as crowd:
        crowd.warm_up()
        for pid in (*workers, toy.process.pid):
            os.kill(pid, signal.SIGINT)
        assert toy.ended() == 0
    assert not crowd.lost
    assert toy.closed() >= crowd.answered


def test_stuck_worker_is_killed(start: Start) -> None:
    """A worker that doesn't end after its drain is killed, and the exit code tells."""
    toy = start(workers=2, drain_seconds=0.5, bad_close=True)
    eventually(lambda: len(toy.pids()) == 2)
    assert toy.terminate() == 1
    assert "takes too long and is killed" in toy.errors


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_each_worker_has_a_cpu(start: Start) -> None:
    """With affinity each worker is bound to a CPU of its own, and the parent to none."""
    toy = start(workers=2, affinity=True)
    eventually(lambda: len(toy.pids()) == 2)
    cpus = [os.sched_getaffinity(pid) for pid in toy.workers()]
    assert [len(cpu) for cpu in cpus] == [1, 1]
    assert cpus[0] != cpus[1]
    assert len(os.sched_getaffinity(toy.process.pid)) > 1
    assert toy.terminate() == 0
