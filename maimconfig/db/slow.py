"""Statements that took long: which they were, and never with which values."""

from __future__ import annotations

import re
import time
from typing import Any

import structlog
from sqlalchemy import Engine, event

log = structlog.get_logger(__name__)

# The verb and the first table; whatever stands in quotes is a value.
_NAME = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*([A-Za-z]+)\b(?:[^'\"]*?\b(?:FROM|INTO|UPDATE|TABLE|JOIN)\s+`?(\w+))?",
    re.IGNORECASE,
)


class Slow:
    """Logs the statements that take at least so long."""

    def __init__(self, limit_ms: int) -> None:
        """
        Args:
            limit_ms: in milliseconds; 0 logs none.
        """
        self._seconds = limit_ms / 1000 if limit_ms else float("inf")

    def watch(self, engine: Engine) -> None:
        """Look at all statements of an engine."""
        if self._seconds != float("inf"):
            event.listen(engine, "before_cursor_execute", _begin)
            event.listen(engine, "after_cursor_execute", self._end)

    def note(self, statement: str, seconds: float) -> None:
        """Log a statement if it took too long."""
        if seconds >= self._seconds:
            log.warning(
                "query.slow", statement=name_of(statement), duration_ms=round(seconds * 1000, 1)
            )

    def _end(self, _connection: Any, _cursor: Any, statement: str, *rest: Any) -> None:
        context = rest[1]
        self.note(statement, time.perf_counter() - context._maimconfig_began)


def _begin(_connection: Any, _cursor: Any, _statement: str, *rest: Any) -> None:
    rest[1]._maimconfig_began = time.perf_counter()


def name_of(statement: str) -> str:
    """What a statement is called in the log: its verb and its first table."""
    found = _NAME.match(statement)
    if found is None:
        return "?"
    verb, table = found.groups()
    if table is None and verb.upper() == "UPDATE":
        table = next(iter(re.findall(r"UPDATE\s+`?(\w+)", statement, re.IGNORECASE)), None)
    return f"{verb.upper()} {table}" if table else verb.upper()
