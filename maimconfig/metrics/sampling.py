"""Gauges that are read off the running service when its numbers are published."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from maimconfig import __version__
from maimconfig.metrics import definitions as metrics

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def sample(runtime: Runtime) -> None:
    """Set them to what is so now."""
    metrics.BUILD.set(1, __version__, platform.python_version(), _database_kind(runtime))
    metrics.PROCESSES.set(1)
    metrics.MEMORY.set(_resident_bytes())
    metrics.FLUSH_AGE.set(runtime.background.flushed_at)
    metrics.REPLIES_UNSETTLED.set(len(runtime.unsettled))
    for plane, slots in runtime.slots().items():
        metrics.REPLIES.set(slots.taken, plane)
        metrics.REPLY_PLACES.set(slots.limit, plane)
    for pool, (in_use, size) in runtime.database.pools().items():
        metrics.POOL_IN_USE.set(in_use, pool)
        metrics.POOL_SIZE.set(size, pool)
    for plane, load in runtime.load().items():
        metrics.QUEUED.set(load.queued, plane)
        metrics.THREADS_BUSY.set(load.busy, plane)
        metrics.THREADS.set(load.threads, plane)
        metrics.CONNECTIONS.set(load.connections, plane)


def _database_kind(runtime: Runtime) -> str:
    return "sqlite" if runtime.database.is_sqlite else "mysql"


def _resident_bytes() -> int:
    """proc(5), statm; 0 where there is no such thing."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
