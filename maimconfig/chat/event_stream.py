"""A reply as server-sent events (WHATWG HTML, section 9.2), for as long as somebody reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import orjson
import structlog

from maimconfig.chat.running import RunningReply
from maimconfig.chat.wanted import Answer
from maimconfig.http.errors import AppError, InternalError
from maimconfig.providers.types import Delta

log = structlog.get_logger(__name__)

COMMENT_SECONDS: Final = 15.0  # contract: keeps proxies from closing
LOOK_SECONDS: Final = 0.5  # how often a silent stream looks whether its reader is there
HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
COMMENT: Final = b": keep-alive\n\n"


def event(data: Any, name: str | None = None) -> bytes:
    """One event, with a name or without; orjson writes no line break into JSON."""
    head = b"" if name is None else b"event: %s\n" % name.encode()
    return head + b"data: %s\n\n" % orjson.dumps(data)


class Dialect(Protocol):
    """How a reply is told: each method makes one or several events, as bytes."""

    def start(self) -> bytes:
        """Before there is anything of the reply."""

    def piece(self, content: str) -> bytes:
        """A piece of its text."""

    def end(self, answer: Answer) -> bytes:
        """The whole of it, as the last events."""

    def failed(self, error: AppError) -> bytes:
        """It failed; the last event."""


class EventStream:
    """The body of an answer; whoever serves it iterates over it and closes it.

    It is a class and no generator, for a generator that was never begun can't be closed.
    """

    def __init__(
        self,
        reply: RunningReply,
        dialect: Dialect,
        *,
        left: Callable[[], bool],
        on_close: Callable[[], None],
    ) -> None:
        """Tell of a reply.

        Args:
            dialect: how it is told.
            left: whether the reader is gone; asked twice a second.
            on_close: called once, when all is over.
        """
        self._reply = reply
        self._dialect = dialect
        self._left = left
        self._on_close = on_close
        self._events = self._told()
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._events)
        except StopIteration:
            self.close()
            raise

    def close(self) -> None:
        """End the reply, unless it is over, and give everything back."""
        if self._closed:
            return
        self._closed = True
        try:
            self._reply.close()
        finally:
            self._on_close()

    def _told(self) -> Iterator[bytes]:
        yield self._dialect.start()
        try:
            yield from self._pieces()
        except AppError as error:
            yield self._dialect.failed(error)
        except Exception:
            # The outermost edge of a stream: its status was sent long ago.
            log.exception("stream.failed")
            yield self._dialect.failed(InternalError())

    def _pieces(self) -> Iterator[bytes]:
        quiet_since = time.monotonic()
        while not self._left():
            piece = self._reply.next(LOOK_SECONDS)
            if isinstance(piece, Answer):
                yield self._dialect.end(piece)
                return
            if isinstance(piece, Delta):
                yield self._dialect.piece(piece.content)
            elif time.monotonic() - quiet_since >= COMMENT_SECONDS:
                yield COMMENT
            else:
                continue
            quiet_since = time.monotonic()
        self._reply.close()
