"""A client's end of a WebSocket, with bounds on what it may cost."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import State

from maimconfig.realtime.frames import HEARTBEAT_SECONDS, SILENCE_SECONDS, CloseCode

MOST_UNSENT = 256 * 1024  # bytes that wait for a client; the kernel holds some more
WRITE_LIMIT = 32 * 1024  # bytes; `Peer.taken` waits until no more than this wait
KERNEL_BUFFER = 64 * 1024  # bytes; what it may hold of a client that doesn't read
STALLED_SECONDS = 4.0  # without a byte taken, while some wait
CLOSING_SECONDS = 3.0  # for the closing handshake, after which the connection is cut

_NO_REQUEST = Request("/", Headers())


class Peer(ServerConnection):
    """One client.

    The library would hold what is sent in memory without bound, or wait for the client; this
    neither waits nor holds much: who falls behind is closed, and resumes by after_seq.

    Attributes:
        heard_at: when the last byte came, in seconds of the loop.
        closing_at: when the close was sent or seen; None before.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard_at = self.loop.time()
        self.closing_at: float | None = None
        self._pinged_at = self.heard_at
        self._bound = MOST_UNSENT
        self._pushed = 0  # bytes, in all
        self._taken = 0  # of these, by the kernel
        self._taken_at = self.heard_at
        self._then: Callable[[], None] | None = None

    def forget_handshake(self) -> None:
        """Give back what the handshake was, some KB a connection."""
        self.request, self.response = _NO_REQUEST, None

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have something done when the socket is gone, however that comes about."""
        self._then = call

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits for it."""
        try:
            super().connection_lost(exc)
        finally:
            if self._then is not None:
                self._then()

    def data_received(self, data: bytes) -> None:
        """Note the sign of life; answer what the library answers by itself."""
        self.heard_at = self.loop.time()
        super().data_received(data)
        # Pongs are written without a look at how many wait.
        if self.transport.get_write_buffer_size() > self._bound:
            self.shut(CloseCode.TRY_AGAIN)

    def push(self, frame: bytes) -> None:
        """Send a frame; neither waits nor raises, and closes a client that has too much unread."""
        if self.protocol.state is not State.OPEN:
            return
        waiting = self.transport.get_write_buffer_size()
        # After little any frame is let through: one that is too large by itself would come again
        # after each resumption.
        if waiting > WRITE_LIMIT and waiting + len(frame) > MOST_UNSENT:
            self.shut(CloseCode.TRY_AGAIN)
            return
        self._bound = max(MOST_UNSENT, waiting + len(frame) + WRITE_LIMIT)
        self._pushed += len(frame)
        self.protocol.send_text(frame)
        self.send_data()

    def shut(self, code: CloseCode) -> None:
        """Begin the close; what was sent before arrives first, where the client reads it."""
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code)
            self.send_data()
        if self.closing_at is None:
            self.closing_at = self.loop.time()

    def cut(self) -> None:
        """End the connection now."""
        # With a reset: else the kernel would keep what the client doesn't read for minutes.
        connected = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def taken(self) -> None:
        """Wait while the client has much unread; also returns when it is gone."""
        if self.is_open():
            with contextlib.suppress(OSError):
                await self.drain()

    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self.protocol.state is State.OPEN

    def look_after(self, now: float) -> None:
        """Ping it, close it or cut it, when it's time; to be called every second."""
        if self.closing_at is not None:
            if now - self.closing_at > CLOSING_SECONDS:
                self.cut()
        elif self.protocol.state is not State.OPEN:
            self.closing_at = now
        elif now - self.heard_at > SILENCE_SECONDS:
            self.cut()
        elif self._is_stalled(now):
            self.shut(CloseCode.TRY_AGAIN)
        elif now - max(self.heard_at, self._pinged_at) >= HEARTBEAT_SECONDS:
            self._pinged_at = now
            self.protocol.send_ping(b"")
            self.send_data()

    def _is_stalled(self, now: float) -> bool:
        waiting = self.transport.get_write_buffer_size()
        taken = self._pushed - waiting
        if not waiting or taken > self._taken:
            self._taken, self._taken_at = taken, now
        return now - self._taken_at > STALLED_SECONDS
