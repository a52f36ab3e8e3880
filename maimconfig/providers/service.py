"""Replies of AI providers for callers that are threads.

One event loop in a thread of its own does the input and output of a process; it starts with the
first reply, so a service that nobody talks to doesn't pay for it, nor for httpx.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from maimconfig.logs import place_of
from maimconfig.metrics import recording
from maimconfig.providers import estimate
from maimconfig.providers.board import Board
from maimconfig.providers.breaker import REST_SECONDS
from maimconfig.providers.types import Ask, Delta, Failure, Outcome, Target
from maimconfig.security.outbound import Allowed

if TYPE_CHECKING:
    from maimconfig.providers.chain import Chain

log = structlog.get_logger(__name__)

CLOSE_SECONDS = 5
_RESOLVING_THREADS = 32


class ProvidersClosed(Exception):
    """A reply was wanted after `Providers.close`."""


class Reply:
    """A reply under way; for one thread at a time, but for `cancel`."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._events: queue.SimpleQueue[Delta | Outcome] = queue.SimpleQueue()
        self._outcome: Outcome | None = None
        self._give_up = give_up

    def next(self, timeout: float) -> Delta | Outcome | None:
        """The next event; the Outcome is the last one, and is given again when asked for again.

        Args:
            timeout: seconds to wait.

        Returns:
            None when nothing came in that time.
        """
        if self._outcome is not None:
            return self._outcome
        try:
            event = self._events.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        if isinstance(event, Outcome):
            self._outcome = event
        return event

    def cancel(self) -> None:
        """Give up. The Outcome follows within a moment, with the text so far; the provider's
        connection is closed. Does nothing when it is over.
        """
        self._give_up()

    def wait(self) -> Outcome:
        """The Outcome, however long it takes; the deltas before it are dropped."""
        while True:
            event = self.next(3600)
            if isinstance(event, Outcome):
                return event

    def put(self, event: Delta | Outcome) -> None:
        """Add an event; for who produces the reply."""
        self._events.put(event)


class Providers:
    """The AI providers of a process; safe for threads, and for a fork before its first reply."""

    def __init__(
        self,
        allow: Sequence[Allowed],
        *,
        rest_seconds: float = REST_SECONDS,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        """
        Args:
            allow: what tenants' addresses may lead to although it isn't public.
            rest_seconds: how long an endpoint that keeps failing is left out.
            resolve: in place of the system's resolver, for tenants' addresses.
        """
        self._allow = tuple(allow)
        self._resolve = resolve
        self._rest = rest_seconds
        self._board = Board(rest_seconds)
        self._engine: _Engine | None = None
        self._pid = os.getpid()
        self._starting = threading.Lock()
        self._closed = False

    def start(self, targets: Sequence[Target], ask: Ask) -> Reply:
        """Begin a reply and return at once.

        Args:
            targets: in the order to try them; none is for the built-in offline provider.

        Raises:
            ProvidersClosed: the process is about to end.
        """
        if not targets:
            return _offline(ask)
        # Under the lock, so that `close` finds every reply that began before it.
        with self._starting:
            return self._running().start(targets, ask)

    def endpoints(self) -> list[dict[str, Any]]:
        """What this process knows of endpoints that were asked lately.

        Returns:
            for each: scope, name, state (closed, open, half_open), recent_failures, open_until
            (null unless it is open).
        """
        return self._board.shown()

    def close(self) -> None:
        """Give up what is under way, and end the thread."""
        with self._starting:
            self._closed = True
            engine, self._engine = self._engine, None
        if engine is not None and self._pid == os.getpid():
            engine.close()

    def _running(self) -> _Engine:
        if self._closed:
            raise ProvidersClosed
        if self._engine is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._board = Board(self._rest)
            self._engine = _Engine(self._allow, self._resolve, self._board)
        return self._engine


class _Engine:
    """The loop, its thread, and the clients that live on it."""

    def __init__(
        self,
        allow: Sequence[Allowed],
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None,
        board: Board,
    ) -> None:
        self._board = board
        self._loop = asyncio.new_event_loop()
        self._chains: dict[Chain, asyncio.Task[None]] = {}
        self._stopping = False
        self._make_clients(allow, resolve)
        self._thread = threading.Thread(target=self._run, name="providers", daemon=True)
        self._thread.start()

    def _make_clients(
        self,
        allow: Sequence[Allowed],
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None,
    ) -> None:
        # Not before somebody asks: httpx takes 10 MB.
        from maimconfig.providers.openai_api import OpenAIApi
        from maimconfig.security import outbound_http

        backend = outbound_http.GuardedBackend(allow, resolve or outbound_http.resolve)
        # Two pools: a tenant must not get a connection that was made for the operator.
        context = outbound_http.tls_context()
        self._clients = (
            outbound_http.client(None, context),
            outbound_http.client(backend, context),
        )
        self._api = OpenAIApi(*self._clients)

    def start(self, targets: Sequence[Target], ask: Ask) -> Reply:
        from maimconfig.providers.chain import Chain

        chain: Chain

        def give_up() -> None:
            self._soon(chain.cancel)

        reply = Reply(give_up)
        chain = Chain(
            tuple(targets), ask, self._api.complete, self._board, lambda x: reply.put(Delta(x))
        )
        self._soon(self._begin, chain, reply)
        return reply

    def close(self) -> None:
        self._soon(lambda: self._loop.create_task(self._stop()))
        self._thread.join(CLOSE_SECONDS)

    def _soon(self, call: Callable[..., object], *args: Any) -> None:
        """Have the loop call something; after its end there is nothing to call for."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    def _begin(self, chain: Chain, reply: Reply) -> None:
        task = self._loop.create_task(self._reply(chain, reply))
        self._chains[chain] = task
        task.add_done_callback(lambda _: self._chains.pop(chain))
        if self._stopping:
            chain.cancel()

    async def _reply(self, chain: Chain, reply: Reply) -> None:
        # The outermost edge of a reply: whatever happens, its caller gets an end.
        try:
            outcome = await chain.run()
        except Exception as error:
            # Its text may hold what a provider said.
            log.error("provider.bug", kind=type(error).__name__, place=place_of(error))
            outcome = _nothing(Failure.BROKEN)
        recording.reply(outcome)
        reply.put(outcome)

    def _run(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        asyncio.set_event_loop(self._loop)
        self._loop.set_default_executor(
            ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="resolver")
        )
        self._loop.run_forever()
        self._loop.run_until_complete(self._settle())
        self._loop.close()

    async def _settle(self) -> None:
        """Let what libraries left behind, such as half-read streams, end before the loop does."""
        await self._loop.shutdown_asyncgens()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=1)

    async def _stop(self) -> None:
        self._stopping = True
        for chain in self._chains:
            chain.cancel()
        if self._chains:
            await asyncio.wait(self._chains.values(), timeout=CLOSE_SECONDS / 2)
        for client in self._clients:
            await client.aclose()
        self._loop.stop()


def _offline(ask: Ask) -> Reply:
    """The reply of the provider that is built in, there and then."""
    began = time.monotonic()
    text = ask.offline()
    reply = Reply(lambda: None)
    took = round((time.monotonic() - began) * 1000)
    if ask.stream and text:
        reply.put(Delta(text))
    outcome = Outcome(
        text=text,
        target=None,
        finish_reason="stop",
        tokens_in=estimate.prompt_tokens(ask.messages),
        tokens_out=estimate.tokens(text),
        estimated=True,
        failure=None,
        retry_after=None,
        aborted=False,
        attempts=(),
        first_delta_ms=took,
        milliseconds=took,
    )
    recording.reply(outcome)
    reply.put(outcome)
    return reply


def _nothing(failure: Failure) -> Outcome:
    return Outcome(
        text="",
        target=None,
        finish_reason=None,
        tokens_in=0,
        tokens_out=0,
        estimated=False,
        failure=failure,
        retry_after=None,
        aborted=False,
        attempts=(),
        first_delta_ms=None,
        milliseconds=0,
    )
