"""Worker processes, as their parent sees them."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

logger = logging.getLogger(__name__)

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)  # by the parent
REPLACED = signal.SIGUSR1  # tells a worker to drain because another has taken its place
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

Body = Callable[[Callable[[], None]], int]


@dataclass(eq=False)
class Child:
    """A worker process.

    Attributes:
        slot: which of the N workers it is.
        pid: of the process.
        ready_fd: the pipe on which it says that it's ready; -1 once it did, or can't any more.
        started: time.monotonic() of its start.
        ready: whether it answers requests.
        leaving: whether it was told to drain and end.
        kill_at: time.monotonic() at which patience with it ends.
    """

    slot: int
    pid: int
    ready_fd: int
    started: float
    ready: bool = False
    leaving: bool = False
    kill_at: float = math.inf

    def __str__(self) -> str:
        return f"worker {self.slot} (pid {self.pid})"

    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started

    def hear(self) -> bool:
        """Read its pipe, on which there is something.

        Returns:
            Whether it has just become ready; False when it died before.
        """
        self.ready = bool(os.read(self.ready_fd, 1))
        self._close()
        if self.ready and not self.leaving:
            self.kill_at = math.inf
        return self.ready

    def leave(self, patience: float, *, replaced: bool = False) -> None:
        """Tell it to drain and end, and kill it if that takes longer than this many seconds.

        Args:
            replaced: whether another has taken its place, which its clients are told.
        """
        if not self.leaving:
            self.leaving = True
            self.kill_at = time.monotonic() + patience
            os.kill(self.pid, REPLACED if replaced else signal.SIGTERM)

    def kill_if_overdue(self) -> None:
        """Kill it when its time is over."""
        if time.monotonic() >= self.kill_at:
            logger.error("%s takes too long and is killed", self)
            self.kill_at = math.inf
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Its exit code, minus the signal that killed it; None while it lives."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._close()
        return os.waitstatus_to_exitcode(status)

    def _close(self) -> None:
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1


def fork(slot: int, body: Body) -> Child:
    """Start a worker process; there must be no other thread.

    Args:
        slot: which of the workers it is.
        body: what it does; called with the function that says it's ready, returns its exit code.

    Raises:
        OSError: the system has no process or memory for it.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else both processes have what is buffered, and write it
    parent = os.getpid()
    read, write = os.pipe()
    # A signal between fork() and the child's own handlers would end up in handlers copied from
    # the parent, and be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _live(parent, write, body)
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Child(slot, pid, read, time.monotonic())


def _live(parent: int, ready_fd: int, body: Body) -> NoReturn:
    code = 1
    try:
        _die_with(parent)
        _own_signals()
        code = body(lambda: _say_ready(ready_fd))
    except BaseException:  # the outermost edge of this process
        logger.exception("worker process %d failed", os.getpid())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _say_ready(ready_fd: int) -> None:
    os.write(ready_fd, b"1")
    os.close(ready_fd)


def _die_with(parent: int) -> None:
    """Get a SIGTERM when the parent dies, so that its kill -9 leaves no orphans; Linux only."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before we could ask
        os._exit(1)


def _own_signals() -> None:
    """Undo the parent's handlers. Ctrl-C and a hang-up reach the whole group: the parent's job."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
