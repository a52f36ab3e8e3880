"""The log file: set aside when it is full, followed when it was moved, shared by processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from maimconfig import log_file
from maimconfig.log_file import LogFile
from maimconfig.metrics.definitions import LOG_LINES_LOST
from tests.serving.harness import ROOT

# Writes numbered lines to a file that is full after a few hundred of them.
WRITER = """
import sys
from pathlib import Path
from maimconfig import log_file

log_file.LOOK_SECONDS = 0
out = log_file.LogFile(Path(sys.argv[1]), max_bytes=10_000, keep=1000)
for number in range(3000):
    out.write(f"{sys.argv[2]} {number} {'x' * 40}\\n")
"""


# Writes more than a file may hold (a full disk takes a part in the same way), and goes on.
CUT = """
import resource, sys
from pathlib import Path
from maimconfig.log_file import LogFile
from maimconfig.metrics.definitions import LOG_LINES_LOST

out = LogFile(Path(sys.argv[1]), max_bytes=0, keep=1)
out.write("whole\\n")
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
out.write("cut in the middle\\n")
out.write("not written at all\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, before)
out.write("after\\n")
print(LOG_LINES_LOST.snapshot()[()][0])
"""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the file's name before every line."""
    monkeypatch.setattr(log_file, "LOOK_SECONDS", 0)


def test_processes_lose_nothing(tmp_path: Path) -> None:
    """Three processes on one file that is set aside again and again keep every line whole."""
    path = tmp_path / "service.log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in "abc"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    files = [path, *(file for file in tmp_path.iterdir() if file.suffix[1:].isdigit())]
    assert len(files) > 5
    lines = [line for file in files for line in file.read_text().splitlines()]
    wanted = {f"{name} {number} {'x' * 40}" for name in "abc" for number in range(3000)}
    assert len(lines) == len(wanted)
    assert set(lines) == wanted


@pytest.mark.usefixtures("often")
def test_so_many_are_kept(tmp_path: Path) -> None:
    """Of the files that were set aside the newest are kept, .1 the newest of all."""
    out = LogFile(tmp_path / "x.log", max_bytes=10, keep=2)
    for number in range(6):
        out.write(f"line number {number}\n")
    found = {file.name: file.read_text() for file in tmp_path.iterdir() if "lock" not in file.name}
    assert found == {
        "x.log": "line number 5\n",
        "x.log.1": "line number 4\n",
        "x.log.2": "line number 3\n",
    }


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("made", [False, True], ids=["nocreate", "create"])
def test_logrotate(tmp_path: Path, made: bool) -> None:
    """A file that was moved is left, and one of its name is written, made or found."""
    path = tmp_path / "x.log"
    out = LogFile(path, max_bytes=0, keep=1)
    out.write("before\n")
    path.replace(tmp_path / "moved")
    if made:
        path.touch()
    out.write("after\n")
    assert (tmp_path / "moved").read_text() == "before\n"
    assert path.read_text() == "after\n"


def test_a_full_disk() -> None:
    """A line that can't be written is counted, and whoever logged it goes on."""
    lost = LOG_LINES_LOST.snapshot().get((), [0])[0]
    out = LogFile(Path("/dev/full"), max_bytes=0, keep=1)
    for _ in range(3):
        out.write("a line\n")
    assert LOG_LINES_LOST.snapshot()[()] == [lost + 3]


def test_a_line_that_is_cut(tmp_path: Path) -> None:
    """A line of which a part could be written is counted, and the next one begins a line."""
    path = tmp_path / "x.log"
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert path.read_text() == "whole\ncut \nafter\n"
    assert done.stdout == "2\n"


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that write while the file is set aside lose no line."""
    monkeypatch.setattr(log_file, "LOOK_SECONDS", 0.001)
    out = LogFile(tmp_path / "x.log", max_bytes=5_000, keep=1000)

    def write() -> None:
        for number in range(500):
            out.write(f"{number:05}{'x' * 30}\n")
            if not number % 50:
                time.sleep(0.002)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [
        line
        for file in tmp_path.iterdir()
        if "lock" not in file.name
        for line in file.read_text().splitlines()
    ]
    assert len(lines) == 2000
    assert {len(line) for line in lines} == {35}
