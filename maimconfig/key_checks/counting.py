"""Counts of key checks: gathered in memory, written twice a second, lost only by a kill -9."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Update, case, delete, insert, update

from maimconfig import clock
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.ids import first_id_of, new_id
from maimconfig.db.session import Session
from maimconfig.key_checks.models import KeyUsageFlush

# Twice a second, so that a count is never older than the one second of the contract.
FLUSH_SECONDS = 0.5
KEYS_A_STATEMENT = 500
KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Flush:
    """Counts that are written together, and once.

    Attributes:
        after: the flush that was written before this one.
    """

    id: str
    after: str | None
    counts: Mapping[str, int]
    last_used: Mapping[str, datetime]

    def write(self, session: Session) -> None:
        """Write the counts.

        Raises:
            IntegrityError: they are written already, and only the answer to the commit was lost.
        """
        session.execute(insert(KeyUsageFlush).values(id=self.id))
        session.execute(delete(KeyUsageFlush).where(KeyUsageFlush.id == self.after))
        for statement in _statements(self.counts, self.last_used):
            session.execute(statement, execution_options={"synchronize_session": False})


class KeyUsage:
    """Checks that were counted and not yet written.

    Attributes:
        late: the flush that was taken and of which it isn't known that it was written.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._last_used: dict[str, datetime] = {}
        self._last_flush: str | None = None
        self.late: Flush | None = None

    def add(self, key_id: str, times: int = 1, last_used: datetime | None = None) -> None:
        """Count checks of a key."""
        moment = last_used or clock.now()
        with self._lock:
            self._counts[key_id] = self._counts.get(key_id, 0) + times
            self._last_used[key_id] = max(moment, self._last_used.get(key_id, moment))

    def take(self) -> Flush | None:
        """Set what was counted aside for writing; None when there is nothing.

        Only when nothing is late.
        """
        with self._lock:
            if self._counts:
                self.late = Flush(new_id("flush"), self._last_flush, self._counts, self._last_used)
                self._last_flush = self.late.id
                self._counts, self._last_used = {}, {}
        return self.late


def forget_flushes(session: Session) -> None:
    """Delete the last flushes of processes that ended; no flush is late for so long."""
    ended = KeyUsageFlush.id < first_id_of("flush", clock.now() - KEPT)
    session.execute(
        delete(KeyUsageFlush).where(ended), execution_options={"synchronize_session": False}
    )


def _statements(counts: Mapping[str, int], last_used: Mapping[str, datetime]) -> Iterable[Update]:
    ids = iter(sorted(counts))
    while chunk := list(islice(ids, KEYS_A_STATEMENT)):
        times = case({key_id: counts[key_id] for key_id in chunk}, value=ApiKey.id)
        moment = case({key_id: last_used[key_id] for key_id in chunk}, value=ApiKey.id)
        newer = (ApiKey.last_used_at.is_(None)) | (ApiKey.last_used_at < moment)
        yield (
            update(ApiKey)
            .where(ApiKey.id.in_(chunk))
            .values(
                usage_count=ApiKey.usage_count + times,
                last_used_at=case((newer, moment), else_=ApiKey.last_used_at),
                # A use isn't a change that people make.
                updated_at=ApiKey.updated_at,
            )
        )
