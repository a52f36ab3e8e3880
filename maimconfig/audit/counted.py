"""How many entries the whole audit log has, without counting all of them each time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select

from maimconfig import clock
from maimconfig.audit.models import AuditLog
from maimconfig.db.session import Session

# An entry has its moment from its process's clock and is committed within seconds. Only a clock
# that was set back further could still write one from before that; the next count has it.
SETTLED = timedelta(hours=2)
KEPT = timedelta(days=1)


class _Counted(NamedTuple):
    """What was counted.

    Attributes:
        oldest: id of the log's oldest entry then. The log grows at its new end, and retention
            takes from its old one: while this is the oldest, nothing was taken.
        until: entries from before this moment were counted.
        entries: how many there were.
    """

    oldest: str
    until: datetime
    entries: int


class LogCount:
    """What one process remembers of the log; safe for threads."""

    def __init__(self) -> None:
        self._counted: _Counted | None = None

    def total(self, session: Session) -> int:
        """How many entries the log has."""
        counted, settled = self._counted, clock.now() - SETTLED
        if counted is None or not counted.until <= settled < counted.until + KEPT:
            counted = None
        until = settled if counted is None else counted.until
        first = select(AuditLog.id).order_by(AuditLog.created_at, AuditLog.id).limit(1)
        since = select(func.count()).select_from(AuditLog).where(AuditLog.created_at >= until)
        oldest, newer = session.execute(
            select(first.scalar_subquery(), since.scalar_subquery())
        ).one()
        if oldest is None:
            return 0
        if counted is None or counted.oldest != oldest:
            before = select(func.count()).select_from(AuditLog).where(AuditLog.created_at < until)
            self._counted = counted = _Counted(oldest, until, session.scalar(before) or 0)
        return counted.entries + int(newer)
