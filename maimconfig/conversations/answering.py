"""The AI's side of all conversations: a bounded pool that makes the replies that are owed.

A reply that is owed is a row with a lease. Whichever process claims it makes it; when that one
dies the lease ends and another claims it. Nothing but the rows says what is to be done.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from maimconfig import clock
from maimconfig.conversations import owed
from maimconfig.conversations.owed import Owed
from maimconfig.conversations.replying import Replying
from maimconfig.db import leases
from maimconfig.http.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2
RENEW_SECONDS = 5


class Answering:
    """Makes the replies that are owed; safe for threads, and for a fork before it starts."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._starting = threading.Lock()
        self._pid: int | None = None
        self._woken = threading.Event()
        self._stopping = False
        self._until = 0.0
        self._renewed = 0.0
        self._owner = ""
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: dict[str, Replying] = {}

    def start(self) -> None:
        """Look for owed replies from now on; the pool's threads come with the first of them."""
        if self._pid == os.getpid() or self._stopping:
            return
        with self._starting:
            if self._pid != os.getpid():
                self._owner = leases.this_process()
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._run, name="answering", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Look now: a reply is owed."""
        self.start()
        self._woken.set()

    def drain(self) -> None:
        """Begin no more replies; `close` waits for those under way."""
        self._until = time.monotonic() + self._runtime.settings.drain_seconds
        self._stopping = True
        self._woken.set()

    def close(self) -> None:
        """Wait for the replies under way as long as a drain may take, and leave those that aren't
        made by then to others, at once."""
        if not self._stopping:
            self.drain()
        if self._thread is None or self._pid != os.getpid():
            return
        self._thread.join()
        left = list(self._under_way.values())
        for replying in left:
            replying.given_up.set()
        if self._pool is not None:
            self._pool.shutdown()
        if left:
            self._give_back([replying.reply.id for replying in left])

    def _run(self) -> None:
        while not (self._stopping and self._is_over()):
            self._woken.clear()
            if not self._turn():
                self._woken.wait(LOOK_SECONDS if not self._stopping else 0.05)

    def _is_over(self) -> bool:
        return not self._under_way or time.monotonic() >= self._until

    def _turn(self) -> bool:
        """One round; whether there may be more to do at once."""
        try:  # the outermost edge of this thread: whatever happens, the next round comes
            self._renew()
            return not self._stopping and self._claim()
        except DatabaseUnavailable as error:
            log.warning("answering.database_away", reason=str(error))
        except Exception:
            log.exception("answering.failed")
        return False

    def _claim(self) -> bool:
        room = self._runtime.settings.conversation_replies - len(self._under_way)
        if room < 1:
            return False
        busy = list(self._under_way)
        ids = self._runtime.read(lambda session: owed.due(session, room, busy))
        if not ids:
            return False
        for reply in self._runtime.write(lambda session: owed.claim(session, self._owner, ids)):
            self._begin(reply)
        return True

    def _begin(self, reply: Owed) -> None:
        if self._pool is None:
            most = self._runtime.settings.conversation_replies
            self._pool = ThreadPoolExecutor(most, thread_name_prefix="reply")
        replying = Replying(self._runtime, self._owner, reply)
        self._under_way[reply.id] = replying
        self._pool.submit(self._make, replying)

    def _make(self, replying: Replying) -> None:
        try:
            replying.make()
        except Exception:  # what to do about a failure failed too: its lease ends by itself
            log.exception("reply.left", owed_id=replying.reply.id)
        finally:
            del self._under_way[replying.reply.id]
            self._woken.set()

    def _give_back(self, ids: list[str]) -> None:
        try:
            self._runtime.write(
                lambda session: owed.give_back(session, self._owner, ids, clock.now())
            )
        except DatabaseUnavailable as error:  # the leases end by themselves
            log.warning("answering.not_given_back", reason=str(error))

    def _renew(self) -> None:
        if not self._under_way or time.monotonic() < self._renewed + RENEW_SECONDS:
            return
        self._renewed = time.monotonic()
        ids = list(self._under_way)
        mine = self._runtime.write(lambda session: owed.renew(session, self._owner, ids))
        for owed_id in set(ids) - mine:
            # A person has taken over, or another process took this one for dead.
            replying = self._under_way.get(owed_id)
            if replying is not None:
                replying.given_up.set()
