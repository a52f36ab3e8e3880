"""Counts of key checks: gathered in memory, written twice a second, lost only by a kill -9."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice

from sqlalchemy import Update, case, update

from maimconfig import clock
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session

# Twice a second, so that a count is never older than the one second of the contract.
FLUSH_SECONDS = 0.5
KEYS_A_STATEMENT = 500


class KeyUsage:
    """Checks that were counted and not yet written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._last_used: dict[str, datetime] = {}
        self._taken: tuple[dict[str, int], dict[str, datetime]] = ({}, {})

    def add(self, key_id: str, times: int = 1, last_used: datetime | None = None) -> None:
        """Count checks of a key."""
        moment = last_used or clock.now()
        with self._lock:
            self._counts[key_id] = self._counts.get(key_id, 0) + times
            self._last_used[key_id] = max(moment, self._last_used.get(key_id, moment))

    def write(self, session: Session) -> None:
        """Write what was counted; a unit of work that fails must give it back with `restore`."""
        for statement in _statements(*self._taken):
            session.execute(statement, execution_options={"synchronize_session": False})

    def take(self) -> bool:
        """Set what was counted aside for writing; False when there is nothing."""
        with self._lock:
            self._taken = self._counts, self._last_used
            self._counts, self._last_used = {}, {}
        return bool(self._taken[0])

    def restore(self) -> None:
        """Count again what could not be written."""
        counts, last_used = self._taken
        for key_id, times in counts.items():
            self.add(key_id, times, last_used[key_id])


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
