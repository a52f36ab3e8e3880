"""Several worker processes: started, watched, replaced, renewed, ended."""

from __future__ import annotations

import gc
import logging
import math
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from maimconfig.serving.children import HEARD, Child, fork
from maimconfig.serving.errors import ServeError

logger = logging.getLogger(__name__)

LOOK = 0.2  # s between two looks while something has a date; without, the parent just sleeps


@dataclass(frozen=True)
class Patience:
    """How long the parent waits for what, in seconds.

    Attributes:
        drain: a child that drains, before it's killed.
        start: a child that shall replace a living one, before it's killed.
        pause: before the replacement of one that died within its first second.
        grown: the age from which a child counts as started.
        tries: children that die younger, in a row, before all is given up.
    """

    drain: float = 30
    start: float = 60
    pause: float = 1
    grown: float = 5
    tries: int = 10


class Supervisor:
    """The parent of N workers; it serves nothing itself.

    SIGTERM and SIGINT: all drain and end. SIGHUP: one after the other is replaced by a new one,
    which answers before the old one is told to drain. A worker that dies is replaced.
    """

    def __init__(
        self,
        child: Callable[[int, Callable[[], None]], int],
        workers: int,
        *,
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
        patience: Patience = Patience(),
    ) -> None:
        """Prepare; `run` starts.

        Args:
            child: runs in the new process, with its slot (0 to N-1) and a function to call when
                it answers requests; drains on SIGTERM; returns the exit code.
            workers: how many.
            on_ready: called once, when the first worker answers.
            on_stop: called once, before the workers are told to drain.
            patience: with them.
        """
        self._child = child
        self._workers = workers
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._patience = patience
        self._children: list[Child] = []
        self._due: dict[int, float] = {}  # slot: time.monotonic() of its next start
        self._to_renew: deque[int] = deque()
        self._serving = False
        self._stopping = False
        self._short_lives = 0
        self._code = 0

    def run(self) -> int:
        """Run until all workers have ended.

        Returns:
            0 when they were told to end and did so well, else 1.

        Raises:
            ServeError: there is no process to be had for the first worker.
        """
        gc.freeze()  # so that the collector doesn't touch, and thereby copy, what workers share
        with _Signals() as signals:
            # The first alone: what it finds missing or wrong is made or told once, not N times.
            self._due = {0: 0.0}
            while self._children or self._due:
                self._start_due()
                self._await(signals)
                for number in signals.read():
                    self._obey(number)
                self._reap()
                self._renew()
        return self._code

    def _await(self, signals: _Signals) -> None:
        dated = self._due or any(child.kill_at < math.inf for child in self._children)
        pipes = {child.ready_fd: child for child in self._children if child.ready_fd >= 0}
        heard, _, _ = select.select([signals.pipe, *pipes], [], [], LOOK if dated else None)
        for pipe in heard:
            if pipe in pipes and pipes[pipe].hear():
                self._welcome(pipes[pipe])
        for child in self._children:
            child.kill_if_overdue()

    def _start_due(self) -> None:
        for slot, date in list(self._due.items()):
            if date <= time.monotonic():
                del self._due[slot]
                self._start(slot)

    def _start(self, slot: int) -> None:
        try:
            child = fork(slot, lambda ready: self._child(slot, ready))
        except OSError as error:
            if not self._serving:
                raise ServeError(f"no process for a worker: {error.strerror}") from error
            logger.error("no process for worker %d: %s", slot, error.strerror)
            self._due[slot] = time.monotonic() + self._patience.pause
        else:
            self._children.append(child)

    def _welcome(self, newcomer: Child) -> None:
        """A worker answers now: the service as a whole may, or its predecessor may leave."""
        for other in self._children:
            if other.slot == newcomer.slot and other is not newcomer:
                other.leave(self._patience.drain, replaced=True)
        if not (self._serving or self._stopping):
            self._serving = True
            self._due = dict.fromkeys(range(1, self._workers), 0.0)
            self._on_ready()

    def _obey(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP and self._serving and not self._stopping:
            self._to_renew = deque(range(self._workers))

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._due.clear()
        self._to_renew.clear()
        self._on_stop()
        for child in self._children:
            child.leave(self._patience.drain)

    def _reap(self) -> None:
        for child in list(self._children):
            code = child.reap()
            if code is not None:
                self._children.remove(child)
                self._part_with(child, code)

    def _part_with(self, child: Child, code: int) -> None:
        well = code == 0 or (code == -signal.SIGTERM and not child.ready)
        if self._stopping:
            self._code = self._code if well else 1
        elif not self._serving:
            self._code = code if code > 0 else 1
            self._stop()
        elif child.leaving:
            if not well:
                logger.error("%s ended badly: %s", child, _cause(code))
        elif any(other.slot == child.slot and not other.leaving for other in self._children):
            self._mourn_twin(child, code)
        else:
            self._replace(child, code)

    def _mourn_twin(self, child: Child, code: int) -> None:
        """One of two that shared a slot has died; the other has it now."""
        if not child.ready:
            logger.error("%s failed to start: %s; the old ones stay", child, _cause(code))
            self._to_renew.clear()

    def _replace(self, child: Child, code: int) -> None:
        logger.error("%s ended unasked: %s; it is replaced", child, _cause(code))
        age, patience = child.age(), self._patience
        self._short_lives = self._short_lives + 1 if age < patience.grown else 0
        others_live = any(other.age() >= patience.grown for other in self._children)
        if self._short_lives >= patience.tries and not others_live:
            logger.error("%d workers died young in a row: giving up", self._short_lives)
            self._code = 1
            self._stop()
        else:
            pause = patience.pause if age < 1 else 0
            self._due[child.slot] = time.monotonic() + pause

    def _renew(self) -> None:
        """Start the next replacement of a rolling restart, when all is calm."""
        calm = all(child.ready and not child.leaving for child in self._children)
        if not self._to_renew or self._due or not calm:
            return
        slot = self._to_renew.popleft()
        self._start(slot)
        for child in self._children:
            if child.slot == slot and not child.ready:
                child.kill_at = time.monotonic() + self._patience.start


class _Signals:
    """The signals that the parent hears, as a pipe to select on."""

    def __enter__(self) -> _Signals:
        self.pipe, self._end = os.pipe()
        for end in (self.pipe, self._end):
            os.set_blocking(end, False)
        # Only signals with a handler reach the pipe, hence handlers that do nothing.
        self._before = {number: signal.signal(number, lambda *_: None) for number in HEARD}
        self._fd_before = signal.set_wakeup_fd(self._end, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.close(self.pipe)
        os.close(self._end)

    def read(self) -> bytes:
        """The numbers of the signals since the last call."""
        try:
            return os.read(self.pipe, 4096)
        except BlockingIOError:
            return b""


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
