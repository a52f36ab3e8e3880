"""The garbage collector, out of the way while a process starts."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Leave garbage alone for a while.

    Imports make half a million objects and drop next to none: looking them through again and again
    took a seventh of the time that they need.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
