"""Messages of many connections are stored together: a unit of work costs more than a message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from maimconfig.conversations.intake import Incoming, Stored, store_many
from maimconfig.db.session import Session
from maimconfig.http.errors import AppError, Busy, InternalError

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.01  # between the beginnings of two units, so that under load each has some
AT_ONCE = 200  # messages of one unit
MOST_WAITING = 5000  # that wait for the database; more are refused

Outcome = Stored | AppError
Write = Callable[[Callable[[Session], Any]], Awaitable[Any]]


class Storing:
    """Stores what comes in, in order, one unit after the other."""

    def __init__(self, write: Write) -> None:
        """Make it on the loop that it is for.

        Args:
            write: runs a unit of work that writes, in another thread.
        """
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Incoming, Callable[[Outcome], None]]] = []
        self._something = asyncio.Event()
        self.busy = False

    def put(self, incoming: Incoming, then: Callable[[Outcome], None]) -> None:
        """Have a message stored.

        Args:
            then: called on the loop with what became of it; must be quick.
        """
        if len(self._waiting) >= MOST_WAITING:
            then(Busy(internal="too many messages wait for the database"))
            return
        self.busy = True
        self._waiting.append((incoming, then))
        self._something.set()

    async def run(self) -> None:
        """Store until cancelled."""
        while True:
            await self._something.wait()
            begun = self._loop.time()
            await self._store_some()
            if not self._waiting:
                self.busy = False
                self._something.clear()
            await asyncio.sleep(begun + GATHER_SECONDS - self._loop.time())

    async def _store_some(self) -> None:
        some, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        outcomes = await self._stored([incoming for incoming, _ in some])
        for (_, then), outcome in zip(some, outcomes, strict=True):
            try:
                then(outcome)
            except Exception:  # one connection's trouble must not cost the others their answer
                log.exception("storing.not_told")

    async def _stored(self, incoming: Sequence[Incoming]) -> Sequence[Outcome]:
        try:
            found: Sequence[Outcome] = await self._write(
                lambda session: store_many(session, incoming)
            )
        except AppError as error:
            return [error] * len(incoming)
        except Exception:  # the edge of this task
            log.exception("storing.failed", messages=len(incoming))
            return await self._one_by_one(incoming)
        return found

    async def _one_by_one(self, incoming: Sequence[Incoming]) -> Sequence[Outcome]:
        """Whatever one message did to all, the others are stored."""
        if len(incoming) == 1:
            return [InternalError()]
        return [outcome for one in incoming for outcome in await self._stored([one])]
