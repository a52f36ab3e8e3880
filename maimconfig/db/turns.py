"""Whose turn it is to write, in this process."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from maimconfig.metrics.definitions import WRITE_WAIT


class Turns:
    """A lock that tells how long its owners waited for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if self._lock.acquire(blocking=False):
            WRITE_WAIT.observe(0.0)
            return
        began = time.perf_counter()
        self._lock.acquire()
        WRITE_WAIT.observe(time.perf_counter() - began)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
