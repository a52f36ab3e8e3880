"""Clients that are cut off again and again while gateways and Redis die and come back.

Each client sends under client_ids until it is answered, reconnects to whichever gateway there is
with the last seq that it has, and notes each seq that it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

BACK_OFF = 0.05  # s before the first new try; doubled up to the longest
LONGEST_BACK_OFF = 1.0
AGAIN = 1.0  # s, after a refusal for now: more wait for the database than may
BETWEEN_CUTS = (0.2, 1.5)  # s
BETWEEN_MESSAGES = (0.05, 0.4)  # s
LOST = (OSError, WebSocketException, asyncio.TimeoutError)


@dataclass
class Member:
    """A client of one session.

    Attributes:
        urls: of the gateways that there are.
        token: of the session.
        seqs: what it was given, in order.
        sent: the client_ids of all that it has sent.
        open: what wasn't answered yet.
    """

    urls: Sequence[str]
    name: str
    session_id: str
    token: str
    seqs: list[int] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    open: dict[str, None] = field(default_factory=dict)
    contents: dict[int, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    cuts: int = 0

    async def live(self, cuts: int, more: Callable[[], bool]) -> None:
        """Be cut so many times, and as long as there shall be more of it; then stay until
        everything is answered.
        """
        while self.cuts < cuts or more():
            self.cuts += 1
            await self._connected(lambda socket: self._stay(socket, random.uniform(*BETWEEN_CUTS)))
        await self._connected(self._settle)

    async def catch_up(self, last: int) -> None:
        """Connect once more, until it has the last message that there is."""

        async def wait(socket: ClientConnection) -> None:
            while not self.seqs or self.seqs[-1] < last:
                await asyncio.sleep(0.02)

        await self._connected(wait)

    async def _connected(self, then: Callable[[ClientConnection], Any]) -> None:
        """Do something over a connection, and again over others until it came to its end."""
        pause = BACK_OFF
        while True:
            try:
                after = self.seqs[-1] if self.seqs else 0
                url = f"{random.choice(self.urls)}/chat/{self.session_id}?after_seq={after}"
                headers = {"Authorization": f"Bearer {self.token}"}
                async with connect(
                    url, additional_headers=headers, compression=None, open_timeout=10,
                    close_timeout=1, ping_interval=None,
                ) as socket:  # fmt: skip
                    await self._converse(socket, then)
                    return
            except LOST:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_BACK_OFF)

    async def _converse(
        self, socket: ClientConnection, then: Callable[[ClientConnection], Any]
    ) -> None:
        reading = asyncio.create_task(self._read(socket))
        doing = asyncio.create_task(then(socket))
        try:
            await asyncio.wait({reading, doing}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                reading.result()  # raises: the connection was lost
                raise OSError("the gateway went")
            doing.result()
        finally:
            for task in (reading, doing):
                task.cancel()
            await asyncio.gather(reading, doing, return_exceptions=True)

    async def _read(self, socket: ClientConnection) -> None:
        async for raw in socket:
            frame = json.loads(raw)
            data = frame["data"]
            if frame["type"] == "message":
                self.seqs.append(data["seq"])
                self.contents[data["seq"]] = data["content"]
            elif frame["type"] == "message_sent":
                self.open.pop(data["client_id"], None)
            elif frame["type"] == "error":
                self.refusals.append(data["code"])

    async def _stay(self, socket: ClientConnection, seconds: float) -> None:
        """Send for a while, and then be cut: with a close, or as by a dead network."""
        for client_id in list(self.open):
            await self._send(socket, client_id)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._chat(socket), seconds)
        if random.random() < 0.7:
            socket.transport.abort()

    async def _chat(self, socket: ClientConnection) -> None:
        while True:
            await asyncio.sleep(random.uniform(*BETWEEN_MESSAGES))
            client_id = f"{self.name}-{len(self.sent)}"
            self.sent.append(client_id)
            self.open[client_id] = None
            await self._send(socket, client_id)

    async def _settle(self, socket: ClientConnection) -> None:
        while self.open:
            for client_id in list(self.open):
                await self._send(socket, client_id)
            refused = len(self.refusals)
            while self.open and len(self.refusals) == refused:
                await asyncio.sleep(0.02)
            await asyncio.sleep(AGAIN if self.open else 0)

    async def _send(self, socket: ClientConnection, client_id: str) -> None:
        data = {"content": client_id, "client_id": client_id}
        await socket.send(json.dumps({"type": "message", "data": data}))


async def churn(
    members: Sequence[Member],
    cuts: int,
    harms: Sequence[Callable[[], None]],
    last_seq: Callable[[str], int],
) -> None:
    """Let members live and be cut, and harm go on meanwhile; then let each catch up.

    Args:
        cuts: of each member, at least: they go on until all harm is done.
        harms: each stops and starts servers once, in another thread.
        last_seq: the last seq of a session's conversation, as the database has it.
    """
    left = list(harms)
    lives = asyncio.gather(*(member.live(cuts, lambda: bool(left)) for member in members))
    while left:
        await asyncio.wait({lives}, timeout=random.uniform(0.5, 1.5))
        await asyncio.to_thread(left[0])
        del left[0]
    await lives
    ends = await asyncio.to_thread(lambda: [last_seq(member.session_id) for member in members])
    await asyncio.gather(*(member.catch_up(end) for member, end in zip(members, ends, strict=True)))


def faults(members: Sequence[Member]) -> list[str]:
    """What is wrong: gaps, repeats, messages that are missing or there twice."""
    found = []
    by_session: dict[str, list[Member]] = {}
    for member in members:
        if member.seqs != list(range(1, len(member.seqs) + 1)):
            found.append(f"{member.name} was given {member.seqs}")
        by_session.setdefault(member.session_id, []).append(member)
    for together in by_session.values():
        sent = sorted(client_id for member in together for client_id in member.sent)
        for member in together:
            names = tuple(f"{other.name}-" for other in together)
            said = sorted(one for one in member.contents.values() if one.startswith(names))
            if said != sent:
                found.append(f"{member.name}: {len(sent)} were sent and {len(said)} told")
    return found
