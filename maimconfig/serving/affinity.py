"""Binding a process to one CPU."""

from __future__ import annotations

import os


def bind_to_cpu(index: int) -> int | None:
    """Bind this process to one of the CPUs that it may use.

    CPython's threads hand the interpreter lock from core to core, and that costs more than a
    second core brings: on 2 cores and with 16 connections one process answered 100 to 280
    requests/s unbound and 880 to 1380 bound (docs/architecture.md). Threads started later inherit
    the binding, so call this before any is started.

    Args:
        index: which of the allowed CPUs, counted round.

    Returns:
        The CPU, or None when there is nothing to choose or the system has no such thing.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return None
    cpu = allowed[index % len(allowed)]
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:  # forbidden in some containers; unbound is slower, not wrong
        return None
    return cpu
