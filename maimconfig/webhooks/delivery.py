"""The sender: takes what is due from the outbox, sends it, stores how it went.

One thread a process, with an asyncio loop; it starts with the first delivery that is due, so a
service without webhooks carries neither it nor httpx. Any number of processes may send.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from maimconfig import clock
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.logs import place_of
from maimconfig.security.vault import SecretUnknown
from maimconfig.webhooks import outbox, service
from maimconfig.webhooks.types import Answer, Due, Ended

if TYPE_CHECKING:
    import httpx

    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

AT_ONCE = 128  # attempts under way in a process
POLL_SECONDS = 1.0
CLOSE_SECONDS = 5.0
_RESOLVING_THREADS = 64  # as many as two tenants may have places


class Sender:
    """The sender of a process; safe for threads, and for a fork before its first delivery."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._starting = threading.Lock()
        self._pid: int | None = None
        self._loop: _Loop | None = None
        self._closed = False

    def wake(self) -> None:
        """There is something to deliver: begin now, and not with the next look."""
        with self._starting:
            if self._closed:
                return
            if self._loop is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = _Loop(self._runtime)
            loop = self._loop
        loop.wake()

    def look(self) -> None:
        """Start when something is due that another process left, or that its back-off ended for.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        if (self._loop is None or self._pid != os.getpid()) and _is_any_due(self._runtime):
            self.wake()

    def close(self) -> None:
        """Let what is under way end for a moment, and end the thread; the rest is due again."""
        with self._starting:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None and self._pid == os.getpid():
            loop.close()


class _Loop:
    """The thread, its loop, and what it is sending."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._under_way: dict[asyncio.Task[None], Due] = {}
        self._ended: list[Ended] = []
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._woken = asyncio.Event()
        # One thread of its own, or a name server that doesn't answer would hold the database up.
        self._database = ThreadPoolExecutor(1, thread_name_prefix="webhooks-database")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._woken.set)

    def close(self) -> None:
        self._stopping = True
        self.wake()
        self._thread.join(2 * CLOSE_SECONDS)

    def _run(self) -> None:
        # Not before there is something to send: httpx takes 10 MB.
        from maimconfig.security import outbound_http

        asyncio.set_event_loop(self._loop)
        self._loop.set_default_executor(
            ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="webhooks-resolver")
        )
        backend = outbound_http.GuardedBackend(self._runtime.settings.provider_allow)
        client = outbound_http.client(backend, outbound_http.tls_context())
        try:
            self._loop.run_until_complete(self._serve(client))
        finally:
            self._database.shutdown()
            self._loop.close()

    async def _serve(self, client: httpx.AsyncClient) -> None:
        while not self._stopping:
            self._woken.clear()
            places = AT_ONCE - len(self._under_way) - len(self._ended)
            taken = await self._turn(places)
            for due in taken:
                self._begin(client, due)
            if len(taken) < max(places, 1):
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        await self._finish()
        await client.aclose()

    async def _turn(self, places: int) -> list[Due]:
        ended, under_way = list(self._ended), list(self._under_way.values())
        # The outermost edge: whatever happens, the next turn comes, with the same outcomes.
        try:
            taken = await self._loop.run_in_executor(
                self._database, self._in_database, ended, under_way, places
            )
        except DatabaseUnavailable as error:
            log.warning("webhooks.not_stored", reason=str(error))
            return []
        except Exception:
            log.exception("webhooks.failed")
            return []
        del self._ended[: len(ended)]
        return taken

    def _in_database(self, ended: list[Ended], under_way: list[Due], places: int) -> list[Due]:
        runtime = self._runtime
        # A look costs no lock; a unit of work that may write does.
        if not ended and not (places > 0 and _is_any_due(runtime)):
            return []
        return runtime.write(lambda session: outbox.turn(session, ended, under_way, places))

    def _begin(self, client: httpx.AsyncClient, due: Due) -> None:
        task = self._loop.create_task(self._send(client, due))
        self._under_way[task] = due
        task.add_done_callback(self._under_way.pop)

    async def _send(self, client: httpx.AsyncClient, due: Due) -> None:
        from maimconfig.webhooks.attempt import attempt

        try:
            context = service.context_of(due.webhook_id)
            secret = self._runtime.vault.decrypt(due.sealed_secret, context)
            answer = await attempt(client, due, secret)
        except SecretUnknown:
            answer = Answer(None, "secret_unknown", 0)
        except Exception as error:
            # Its text may hold what an endpoint said.
            log.error("webhooks.bug", kind=type(error).__name__, place=place_of(error))
            answer = Answer(None, "broken", 0)
        if answer.error is not None:
            log.info("webhook.failed", webhook_id=due.webhook_id, delivery_id=due.id,
                     error=answer.error, status=answer.status)  # fmt: skip
        self._ended.append(Ended(due, answer, clock.now()))
        self._woken.set()

    async def _finish(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSE_SECONDS / 2)
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._turn(0)


def _is_any_due(runtime: Runtime) -> bool:
    return runtime.database.find(outbox.ANY_DUE, now=clock.now()) is not None
