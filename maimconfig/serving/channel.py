"""A connection of waitress's and its requests, with what a drain and unkind clients need."""

from __future__ import annotations

import socket
import time
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

READING = 15.0  # s in which a client has to take a byte of what waits for it


class Task(WSGITask):  # type: ignore[misc]
    """One request; the last one on a connection while draining."""

    def service(self) -> None:
        self.channel.answering = True
        try:
            super().service()
        finally:
            self.channel.answering = False

    def build_response_header(self) -> bytes:
        # An app may not set hop-by-hop headers (PEP 3333; waitress raises AssertionError), so it
        # is done here, as if the client had asked for it: waitress then closes after the answer.
        if self.channel.ends_here():
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def set_close_on_finish(self) -> None:
        # waitress takes an answer without a length for one that only the connection's end ends. A
        # 204 or 304 ends with its head, so whoever polls with If-None-Match keeps the connection.
        wanted = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or self.version != "1.1" or wanted:
            super().set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["SERVER_SOFTWARE"] = "waitress"  # it would be ident, None, where text is due
        return environ


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    task_class = Task
    answering = False
    _arriving: tuple[Any, float] = (None, 0.0)

    def writable(self) -> bool:
        """Whether the loop is to send something."""
        # A thread that answers sends by itself, and wakes the loop when the socket is full. While
        # it's at that, waitress's loop would try too, again and again without pause, and keep the
        # interpreter lock from the very thread it waits for: with lookahead, at one connection,
        # 700 to 1000 requests/s instead of 2400 to 2900.
        if self.requests and self.total_outbufs_len and not self.will_close:
            return self._lock_is_free()
        return bool(super().writable())

    def _lock_is_free(self) -> bool:
        free = bool(self.outbuf_lock.acquire(False))
        if free:
            self.outbuf_lock.release()
        return free

    def ends_here(self) -> bool:
        """Whether the answer now made shall be the connection's last."""
        pipelined = len(self.requests) > 1 or self.request is not None
        return bool(self.server.draining) and not pipelined

    def is_idle(self, since: float) -> bool:
        """Whether nothing is under way, and nothing has been since that time.time()."""
        busy = self.requests or self.request is not None or self.total_outbufs_len
        return not busy and self.last_activity < since and not self._has_unread()

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Between two answers waitress would hold the thread until the client reads the first. One
        # that sends requests without reading loses those that are left, and no thread.
        if self.answering:
            super()._flush_outbufs_below_high_watermark()
        elif self.total_outbufs_len > self.adj.outbuf_high_watermark:
            with self.requests_lock:
                for request in self.requests[1:]:
                    request.close()
                del self.requests[1:]
                self.close_when_flushed = True

    def is_overdue(self, now: float, arriving: float) -> bool:
        """Whether its client lets us wait: for a byte to be taken, or for its request's end.

        Args:
            now: time.time().
            arriving: the longest that a request may take to arrive, in seconds.
        """
        if self.total_outbufs_len and self.last_activity < now - READING:
            return True
        if self.request is None or self.request is not self._arriving[0]:
            self._arriving = self.request, time.monotonic()
        return time.monotonic() - self._arriving[1] > arriving and self.request is not None

    def _has_unread(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
