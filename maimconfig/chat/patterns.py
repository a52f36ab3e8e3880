"""Tenants' regular expressions: linear in time, small in memory, compiled once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from maimconfig.agents import config_patterns

# A compiled pattern takes at most 256 KiB, so the cache at most 64 MiB; common ones take 2 KiB.
CACHED: Final = 256


@lru_cache(maxsize=CACHED)
def compiled(pattern: str) -> Any:
    """A pattern ready to search with; None when it can't be used, as an operator's TOML may
    hold."""
    try:
        return config_patterns.compiled(pattern)
    except config_patterns.PatternUnusable:
        return None


def search(pattern: Any, text: str) -> Any:
    """The first match of a pattern in a text; None when there is none.

    An empty pattern is somebody's unfinished rule and matches nothing.
    """
    found = compiled(pattern) if isinstance(pattern, str) and pattern else None
    return found.search(text) if found is not None else None
