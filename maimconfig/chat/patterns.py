"""Tenants' regular expressions: linear in time, small in memory, compiled once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped, unused-ignore]

from maimconfig.agents.config_patterns import MAX_MEMORY

# A compiled pattern takes at most MAX_MEMORY, so the cache at most 64 MiB; common ones take 2 KiB.
CACHED: Final = 256


@lru_cache(maxsize=CACHED)
def compiled(pattern: str) -> Any:
    """A pattern ready to search with; None when it can't be used, as an operator's TOML may
    hold."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        return None


def search(pattern: Any, text: str) -> Any:
    """The first match of a pattern in a text; None when there is none.

    An empty pattern is somebody's unfinished rule and matches nothing.
    """
    found = compiled(pattern) if isinstance(pattern, str) and pattern else None
    return found.search(text) if found is not None else None
