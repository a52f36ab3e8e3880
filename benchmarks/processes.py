"""Processes under measurement: started on free ports, asked with wrk, weighed by /proc."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

LATENCY_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Served:
    """A process that prints `name http://address` for each of its listeners when it is ready."""

    def __init__(
        self, command: Sequence[str], names: Sequence[str], env: dict[str, str], log: Path
    ) -> None:
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | env,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in names]
        assert all(lines), f"it did not start; see {log}"
        self.urls = dict(line.split() for line in lines)

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def rss_mb(self) -> float:
        """Resident memory of the process and its children, in MB."""
        pids = [self.process.pid, *_children(self.process.pid)]
        return sum(_rss_kb(pid) for pid in pids) / 1024


@dataclass(frozen=True)
class Load:
    """What wrk measured.

    Attributes:
        rate: requests a second.
        p99: milliseconds.
        failed: answers that were not 2xx or 3xx, and broken connections.
    """

    rate: float
    p99: float
    failed: int


def wrk(url: str, *, connections: int, seconds: int, script: Path | None = None) -> Load:
    """Load a URL from the last CPU; the processes under measurement are bound to the first."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if script is not None:
        command += ["-s", str(script)]
    output = subprocess.run(
        [*_pinned(), *command, url], check=True, capture_output=True, text=True
    ).stdout
    return _parsed(output)


def _parsed(output: str) -> Load:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    assert rate is not None
    assert p99 is not None
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    return Load(
        rate=float(rate[1]),
        p99=float(p99[1]) * LATENCY_UNITS[p99[2]],
        failed=int(failed[1] if failed else 0) + sum(map(int, broken.groups() if broken else ())),
    )


def _pinned() -> list[str]:
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[-1])] if len(cpus) > 1 else []


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _rss_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0
