"""The realtime plane: a WebSocket server on an asyncio loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from maimconfig.db.session import SYSTEM, Actor, Session
from maimconfig.metrics import definitions as metrics
from maimconfig.realtime.admission import Admission, Refused, Visit
from maimconfig.realtime.allowance import Allowances
from maimconfig.realtime.client import Client
from maimconfig.realtime.frames import LARGEST_FRAME, CloseCode
from maimconfig.realtime.hub import Hub
from maimconfig.realtime.peer import CLOSING_SECONDS, KERNEL_BUFFER, WRITE_LIMIT, Peer
from maimconfig.realtime.protocol import Connection, Limits
from maimconfig.realtime.storing import Storing
from maimconfig.runtime import Runtime
from maimconfig.serving.sockets import address_of

T = TypeVar("T")
log = structlog.get_logger(__name__)

THREADS = 4  # that ask the database
CHECK_SECONDS = 20.0  # between two looks whether a client's login still holds
CHECKS_AT_ONCE = 100  # clients a second whose login is looked at
SETTLE_SECONDS = 0.1  # frames under way when we were told to stop may still arrive
TURN = 0.02  # s: the drain looks this often who is done
MORE_THAN_ENOUGH = 20.0  # s for the loop to begin
# Handshakes that are refused with these may be tried again, after so many seconds.
_FOR_NOW = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_RETRY_AFTER = "2"


class Gateway:
    """One process's realtime plane.

    `start`, `drain`, `is_busy` and `end` are called from another thread, that of the process's
    other planes; everything else runs on the loop.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Make it; `start` serves.

        Args:
            runtime: the running service.
        """
        self.runtime = runtime
        self.hub: Hub
        self.storing: Storing
        self.now: Callable[[], float]
        self._clients: dict[Peer, Client] = {}
        self._visits: dict[Peer, Visit] = {}
        self._draining = False
        self._drained = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, listener: socket.socket, connections: int) -> None:
        """Serve, in a thread of its own; returns when clients are let in.

        Args:
            listener: an open listener; it is the gateway's from here on.
            connections: the most that may be open at once.
        """
        # What the kernel holds of a client that doesn't read is ours to pay, too.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        self._admission = Admission(self.runtime.settings, connections)
        self._listener = listener
        self.runtime.realtime_address = address_of(listener)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready)), name="realtime", daemon=True
        )
        self._thread.start()
        if not ready.wait(MORE_THAN_ENOUGH):
            raise RuntimeError("the realtime loop did not begin")

    def drain(self, restart: bool) -> None:
        """Let nobody in, and everybody go when what is under way is done; returns at once.

        Args:
            restart: whether another process takes over, so that clients may return at once.
        """
        code = CloseCode.RESTART if restart else CloseCode.GOING_AWAY
        self._loop.call_soon_threadsafe(self._begin_drain, code)

    def is_busy(self) -> bool:
        """Whether somebody is still connected."""
        return not self._drained.is_set()

    def end(self) -> None:
        """Cut who is left, and end the thread."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    async def in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call something that waits for the database, without the loop waiting."""
        return await self._loop.run_in_executor(self._threads, call, *arguments)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run a unit of work that only reads."""
        return await self.in_thread(self.runtime.read, work)

    async def write(self, work: Callable[[Session], T], actor: Actor = SYSTEM) -> T:
        """Run a unit of work that may write."""
        return await self.in_thread(self.runtime.write, work, actor)

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.now = self._loop.time
        self.hub, self.storing = Hub(self.read), Storing(self.write)
        self._limits = Limits(
            self.runtime.settings.realtime_message_length,
            Allowances(self.runtime.settings.realtime_messages_per_minute),
        )
        unsubscribe = self.runtime.bus.subscribe(self.hub.hear)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="realtime") as self._threads:
            self._server = await self._serve()
            tasks = [
                asyncio.create_task(run())
                for run in (self.hub.run, self.storing.run, self._tend, self._check)
            ]
            ready.set()
            await self._over.wait()
            unsubscribe()
            await self._close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(self) -> Any:
        # Each connection that isn't a WebSocket would be an error in the log.
        quiet = logging.getLogger("maimconfig.realtime.websockets")
        quiet.setLevel(logging.CRITICAL)
        return serve(
            self._attend,
            sock=self._listener,
            create_connection=Peer,
            process_request=self._admit,
            compression=None,  # it would cost 40 KB a connection
            max_size=LARGEST_FRAME,
            max_queue=2,  # frames that a client sends ahead, of up to 1 MiB each
            write_limit=WRITE_LIMIT,
            ping_interval=None,  # `Peer.look_after` pings: the library's own waits for a reader
            open_timeout=10,
            close_timeout=CLOSING_SECONDS,
            server_header=None,
            logger=quiet,
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let a handshake through, or answer it."""
        assert isinstance(connection, Peer)
        if request.path in ("/health", "/health/live"):
            return connection.respond(HTTPStatus.OK, '{"status":"healthy"}\n')
        try:
            if self._draining:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this process is ending")
            visit = self._admission.visit(request, _host(connection))
            self._admission.enter(visit.address)
        except Refused as refused:
            log.info("realtime.refused", status=int(refused.status), reason=str(refused))
            response = connection.respond(refused.status, f"{refused}\n")
            if refused.status in _FOR_NOW:
                response.headers["Retry-After"] = _RETRY_AFTER
            return response
        self._visits[connection] = visit
        # Not in the handler: a handshake that fails after this has none.
        connection.when_lost(lambda: self._see_off(connection))
        return None

    def _see_off(self, peer: Peer) -> None:
        self._admission.leave(self._visits.pop(peer).address)
        self._clients.pop(peer, None)

    async def _attend(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Peer)
        visit = self._visits.get(connection)
        if visit is None:  # lost already
            return
        connection.forget_handshake()
        said = Connection(
            uuid.uuid4().hex, self._limits, self.now(), visit.session_id, visit.locale
        )
        client = Client(self, connection, said, visit.address, visit.after_seq)
        self._clients[connection] = client
        await client.serve(visit.token)

    async def _tend(self) -> None:
        """Every second: pings, silence, slow readers, and who hasn't logged in."""
        while True:
            await asyncio.sleep(1)
            now = self.now()
            metrics.CONNECTIONS.set(len(self._clients), "realtime")
            for client in list(self._clients.values()):
                try:
                    client.peer.look_after(now)
                    if client.connection.is_overdue(now):
                        client.peer.shut(CloseCode.NOT_AUTHENTICATED)
                except Exception:  # one client's trouble must not cost the others their pings
                    log.exception("realtime.tend_failed")
            self._limits.messages.forget_full(now)

    async def _check(self) -> None:
        """Every second: some logins. It may wait for the database, so it's a task of its own."""
        while True:
            await asyncio.sleep(1)
            since = self.now() - CHECK_SECONDS
            due = [one for one in self._clients.values() if one.checked_at < since]
            for client in due[:CHECKS_AT_ONCE]:
                try:
                    await client.check()
                except Exception:  # one client's trouble must not cost the others their check
                    log.exception("realtime.check_failed")

    def _begin_drain(self, code: CloseCode) -> None:
        if not self._draining:
            self._draining = True
            self._draining_task = asyncio.create_task(self._drain(code))

    async def _drain(self, code: CloseCode) -> None:
        self._server.close(close_connections=False)
        await asyncio.sleep(SETTLE_SECONDS)
        while self._clients:
            for client in list(self._clients.values()):
                if client.is_idle:
                    client.peer.shut(code)
            await asyncio.sleep(TURN)
        self._drained.set()

    async def _close(self) -> None:
        """Cut who is left."""
        self._server.close(close_connections=False)
        for peer in list(self._visits):
            peer.cut()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), CLOSING_SECONDS)


def _host(connection: ServerConnection) -> str:
    return str(connection.remote_address[0])
