"""Where the log is written: stderr, or a file of its own.

Several processes append to a log file, set it aside when it is full, and follow it.

No signal is needed: once a second a process looks whether the file it writes is still the one of
that name, so logrotate may move it (`create` and `nocreate` alike), and so may another process that
found it too large. Lines that are written until then end up in the file that was moved, not lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

from maimconfig.metrics.definitions import LOG_LINES_LOST

LOOK_SECONDS = 1.0


class Lines:
    """Whole lines, to a file that is open already; safe for threads."""

    def __init__(self, handle: int) -> None:
        """Write to this descriptor."""
        self._handle = handle
        self._is_cut = False

    def write(self, text: str) -> None:
        """Append whole lines. One that can't be written is counted as lost: a full disk shall not
        be the end of a request that needs none."""
        line = text.encode("utf-8", "backslashreplace")
        if self._is_cut:
            line = b"\n" + line
        try:
            written = os.write(self._handle, line)
        except OSError:
            LOG_LINES_LOST.add(1)
            return
        # A disk that is nearly full takes a part; what comes next shall not be appended to that.
        self._is_cut = written < len(line)
        if self._is_cut:
            LOG_LINES_LOST.add(1)

    def flush(self) -> None:
        """Does nothing: what is written is written."""

    def isatty(self) -> bool:
        """Whether people read along."""
        return os.isatty(self._handle)


class LogFile(Lines):
    """A file of its own; several processes may write to it."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        """Open the file, which is made with its folder.

        Args:
            max_bytes: the size from which it is set aside; 0 leaves that to others.
            keep: how many that were set aside are kept.

        Raises:
            OSError, ValueError: it can't be used.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._looking = threading.Lock()
        self._looked = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(_open(path))

    def write(self, text: str) -> None:
        """Append whole lines, to the file that has the name now."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()
        super().write(text)

    def isatty(self) -> bool:
        """Nobody reads along, whatever the name leads to."""
        return False

    def _look(self) -> None:
        if not self._looking.acquire(blocking=False):
            return
        try:
            with contextlib.suppress(OSError):
                self._follow()
                if self._max_bytes and os.fstat(self._handle).st_size >= self._max_bytes:
                    self._set_aside()
        finally:
            self._looked = time.monotonic()
            self._looking.release()

    def _follow(self) -> None:
        if not self._is_current():
            fresh = _open(self._path)
            # The number stays, so a thread that is just writing has an open file whatever comes.
            os.dup2(fresh, self._handle, inheritable=False)
            os.close(fresh)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._handle))
        except FileNotFoundError:
            return False

    def _set_aside(self) -> None:
        lock = os.open(self._numbered("lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have done it while this one waited.
            if self._is_current():
                for number in range(self._keep, 0, -1):
                    before = self._numbered(number - 1) if number > 1 else self._path
                    with contextlib.suppress(FileNotFoundError):
                        before.replace(self._numbered(number))
        finally:
            os.close(lock)
        self._follow()

    def _numbered(self, end: int | str) -> Path:
        return self._path.with_name(f"{self._path.name}.{end}")


def _open(path: Path) -> int:
    # Lines of several processes don't mix: each is one write to a file that is appended to.
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
