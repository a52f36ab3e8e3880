"""Replies that ended while the database was away: they are settled as soon as it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from maimconfig.chat.settlement import settle
from maimconfig.chat.wanted import Ended
from maimconfig.db.session import Session
from maimconfig.http.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

Keep = Callable[[Session, str, Ended], None]

log = structlog.get_logger(__name__)


class Unsettled:
    """What this process has yet to settle; lost with it, and then settled as lost by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Ended, Keep | None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def settle(
        self, runtime: Runtime, pending_id: str, ended: Ended, keep: Keep | None = None
    ) -> None:
        """Settle a reply in a transaction of its own, now or as soon as the database is back.

        Args:
            keep: see `Wanted.keep`.
        """
        try:
            runtime.write(lambda session: settle(session, pending_id, ended, keep))
        except DatabaseUnavailable as error:
            log.warning("reply.not_settled", usage_id=pending_id, reason=str(error))
            with self._lock:
                self._waiting[pending_id] = ended, keep

    def settle_waiting(self, runtime: Runtime) -> None:
        """Settle what waits, unless the database is away still."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for pending_id, (ended, keep) in waiting.items():
            self.settle(runtime, pending_id, ended, keep)
