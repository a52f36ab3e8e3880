"""Processes tell each other their numbers through a folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maimconfig.metrics import definitions as metrics
from maimconfig.metrics.exchange import Exchange
from tests.contract.harness import in_threads
from tests.serving.harness import ROOT

CHECKS = metrics.KEY_CHECKS.name
KEY = ("of this test",)

# Counts, tells it, and lives until its stdin ends.
SCRIPT = """
import sys
from pathlib import Path
from maimconfig.metrics import definitions as metrics
from maimconfig.metrics.exchange import Exchange

exchange = Exchange(Path(sys.argv[1]), 0)
metrics.KEY_CHECKS.add(int(sys.argv[2]), "of this test")
metrics.QUEUED.set(1, "internal")
exchange.publish()
print("told", flush=True)
sys.stdin.read()
metrics.KEY_CHECKS.add(1, "of this test")
exchange.close()
"""


class Process:
    """Another process that counts."""

    def __init__(self, folder: Path, number: int) -> None:
        self.running = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), str(number)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.running.stdout.readline() == b"told\n"

    def end(self) -> None:
        """In good order: it counts once more."""
        self.running.communicate(timeout=60)

    def kill(self) -> None:
        """At once."""
        self.running.send_signal(signal.SIGKILL)
        self.running.communicate(timeout=60)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Exchange]:
    """This process, which is asked for the numbers of all."""
    exchange = Exchange(tmp_path / "numbers", 0)
    yield exchange
    exchange.close()


def checks(reader: Exchange) -> float:
    """What all have counted."""
    return reader.collect()[CHECKS].get(KEY, [0])[0]


def test_all_count_once(reader: Exchange, tmp_path: Path) -> None:
    """Each process's counts are told once, while it lives, when it ended and when it was killed."""
    processes = [Process(tmp_path / "numbers", 10**number) for number in range(3)]
    try:
        assert checks(reader) == 111
        assert reader.collect()[metrics.QUEUED.name][("internal",)] == [3]
        processes[0].end()
        processes[1].kill()
        assert [checks(reader) for _ in range(3)] == [112] * 3
        # What is no more has no queue.
        assert reader.collect()[metrics.QUEUED.name][("internal",)] == [1]
        left = {file.name for file in (tmp_path / "numbers").glob("*.json")}
        assert len(left) == 3, left  # of both that live, and of all that ended
    finally:
        for process in processes:
            process.kill()
    assert checks(reader) == 112


def test_another_reader(reader: Exchange, tmp_path: Path) -> None:
    """Whoever is asked tells the same, also what an earlier reader has added up."""
    Process(tmp_path / "numbers", 7).end()
    assert checks(reader) == 8
    second = Exchange(tmp_path / "numbers", 0)
    assert checks(second) == 8
    second.close()


def test_killed_while_adding_up(reader: Exchange, tmp_path: Path) -> None:
    """A reader that dies between adding up and tidying away leaves nothing that counts twice."""
    Process(tmp_path / "numbers", 7).end()
    (file,) = (tmp_path / "numbers").glob("*-*.json")
    content = file.read_bytes()
    assert checks(reader) == 8
    file.write_bytes(content)
    assert checks(reader) == 8


def test_at_once(reader: Exchange) -> None:
    """Readers at the same time, and the thread that publishes, don't stand in each other's way."""
    metrics.KEY_CHECKS.add(1, "at once")
    own = reader.collect()[CHECKS]["at once",]

    def again() -> set[float]:
        found = set()
        for _ in range(50):
            metrics.MEMORY.set(random.random())
            reader.publish()
            found.add(reader.collect()[CHECKS]["at once",][0])
        return found

    assert in_threads([again] * 4) == [set(own)] * 4


def test_without_a_folder() -> None:
    """A process alone tells its own numbers, and writes nothing."""
    metrics.KEY_CHECKS.add(1, "alone")
    assert Exchange(None, 0).collect()[CHECKS][("alone",)] == [1]
