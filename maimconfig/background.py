"""What a process does beside its requests: writing counts, what is due by the clock, tidying up."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import IntegrityError

from maimconfig import clock
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.key_checks.counting import FLUSH_SECONDS, forget_flushes
from maimconfig.metrics import definitions as metrics

if TYPE_CHECKING:
    from maimconfig.key_checks.counting import Flush
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

TIDY_SECONDS = 600
LOOK_SECONDS = 1


class Background:
    """One thread a process, started with the first request it serves.

    It isn't started before, so that a WSGI server may load the app and fork afterwards.

    Attributes:
        flushed_at: time.time() at which there was last nothing left to write.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pid: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()
        self._looked = 0.0
        self.flushed_at = time.time()
        self._published = True

    def ensure(self) -> None:
        """Start the thread unless it runs in this process already."""
        if self._pid == os.getpid():
            return
        with self._writing:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._runtime.database.watch()
                self._thread = threading.Thread(target=self._run, name="background", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread and write the last counts."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()
        self._runtime.unsettled.settle_waiting(self._runtime)

    def flush(self) -> None:
        """Write the counts of key checks now; on failure they are kept for the next time."""
        usage = self._runtime.key_usage
        with self._writing:
            if self._write(usage.late) and self._write(usage.take()):
                self.flushed_at = time.time()

    def _write(self, flush: Flush | None) -> bool:
        """Whether a flush, if there is any, is written."""
        if flush is None:
            return True
        try:
            self._runtime.write(flush.write)
        except IntegrityError:
            log.info("key_usage.written_already")
        except DatabaseUnavailable as error:
            log.warning("key_usage.not_written", reason=str(error))
            return False
        self._runtime.key_usage.late = None
        return True

    def _run(self) -> None:
        tidied = time.monotonic()
        while not self._stop.wait(FLUSH_SECONDS):
            # The outermost edge of this thread: whatever happens, the next round comes.
            try:
                self._round()
                if time.monotonic() - tidied > TIDY_SECONDS:
                    tidied = time.monotonic()
                    self._tidy()
            except Exception:
                log.exception("background.failed")

    def _round(self) -> None:
        """What can't wait for the tidying."""
        self.flush()
        self._runtime.unsettled.settle_waiting(self._runtime)
        self.publish()
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self._expire_sessions()
            self._tell()

    def _expire_sessions(self) -> None:
        from maimconfig.sessions.expiry import expire_due

        try:
            expire_due(self._runtime)
        except DatabaseUnavailable as error:
            log.warning("sessions.not_expired", reason=str(error))

    def _tell(self) -> None:
        """Find what webhooks are to be told, have what is due sent, and count what is owed."""
        from maimconfig.activity import service as activity
        from maimconfig.conversations import owed

        # Away, the database is asked again in a moment; requests tell of it in the log.
        with contextlib.suppress(DatabaseUnavailable):
            now = clock.now()
            if self._runtime.database.find(activity.ANY_EXPIRED, now=now) is not None:
                self._runtime.write(activity.tell_offline)
            self._runtime.webhooks.look()
            number = self._runtime.database.find(owed.NUMBER)
            metrics.REPLIES_OWED.set(number or 0)

    def publish(self) -> None:
        """Tell the other processes of this machine this one's numbers, where they share any."""
        from maimconfig.metrics.sampling import sample

        if self._runtime.settings.metrics_folder is None:
            return
        sample(self._runtime)
        try:
            self._runtime.exchange.publish()
        except OSError as error:
            if self._published:  # once, not twice a second
                log.warning("metrics.not_published", reason=str(error))
            self._published = False
        else:
            self._published = True

    def _tidy(self) -> None:
        from maimconfig.api_keys.service import forget_retired
        from maimconfig.chat.settlement import forget_old_months, settle_abandoned
        from maimconfig.http.idempotency import forget_expired
        from maimconfig.rate_limits.service import forget_old
        from maimconfig.users.sessions import forget_expired as forget_expired_sessions

        for work in (
            forget_expired,
            forget_retired,
            forget_old,
            forget_expired_sessions,
            forget_old_months,
            forget_flushes,
        ):
            self._runtime.write(work)
        settle_abandoned(self._runtime)
        self._prune()

    def _prune(self) -> None:
        from maimconfig import retention

        # There may be much of it: the counts are written meanwhile, and a stop doesn't wait.
        for _ in retention.batches(self._runtime):
            self._round()
            if self._stop.is_set():
                return
