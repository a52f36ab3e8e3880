"""waitress, with what a drain and two planes in one process need beyond it.

A plane is a PlaneServer: a listening socket, an app, and a pool of threads of its own, so that
the public plane can't starve the internal one. Several share one loop and its map of sockets.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from maimconfig.serving.sockets import BACKLOG

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

MIB = 1024 * 1024

# waitress answers a longer body by itself, in plain text, and closes the connection over the
# unread rest, which some clients see as a reset instead of a 413. The contract wants a body over
# 1 MiB refused as JSON, so up to 8 MiB are read (over 512 KiB into a temporary file) and left to
# the app to refuse, after which the connection is as good as new; waitress only stops the absurd.
# It refuses a Content-Length that equals its limit, hence the one more. Without a Content-Length
# it counts what arrives, the framing of the chunks too, and hands the app the real length.
ABSURD_BODY = 8 * MIB + 1

_SETTINGS = {
    "asyncore_use_poll": True,  # select() kills the process at the 1024th socket
    "channel_request_lookahead": 1,  # else a client that left is noticed only at the answer
    "ident": None,  # no Server header
    "max_request_body_size": ABSURD_BODY,
    "max_request_header_size": 64 * 1024,
    "connection_limit": sys.maxsize,  # counts the sockets of all planes; see readable()
    "channel_timeout": 120,
    "cleanup_interval": 15,
    "outbuf_high_watermark": MIB,  # what a client that doesn't read may hold of our memory
    "expose_tracebacks": False,
    # waitress would delete X-Forwarded-For; the app believes it for trusted proxies alone, and
    # reads no other header of the kind.
    "clear_untrusted_proxy_headers": False,
    "backlog": BACKLOG,
}


class Load(NamedTuple):
    """How busy a plane is.

    Attributes:
        queued: requests that wait for a thread.
        busy: threads that work on one.
        threads: that there are.
        connections: that are open.
    """

    queued: int
    busy: int
    threads: int
    connections: int


class _Task(WSGITask):  # type: ignore[misc]
    """One request; the last one on a connection while draining."""

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


class _Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    task_class = _Task

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

    def _has_unread(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False


class _Pool(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads that start when all others are busy: 160 idle ones would take 5 MB."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add_task(self, task: Any) -> None:
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()
            number = len(self.threads)  # they end together, so the numbers below are all taken
            idle = number - self.active_count
            if len(self.queue) > idle and number < self._most and not self.stop_count:
                self.start_new_thread(self.handler_thread, number)
                self.threads.add(number)
                self.active_count += 1


class PlaneServer(TcpWSGIServer):  # type: ignore[misc]
    """One plane on a socket that listens already."""

    channel_class = _Channel

    def __init__(
        self,
        name: str,
        app: WSGIApplication,
        listener: socket.socket,
        sockets: dict[int, Any],
        *,
        threads: int,
        connections: int,
    ) -> None:
        """Put the plane's listener among the sockets.

        Args:
            name: of the plane, for the log.
            app: WSGI application.
            listener: an open listener; close it only through this server.
            sockets: the map of the loop, shared by the planes of a process.
            threads: the most that this plane has, for itself alone.
            connections: the most that are open at once, idle ones too; more wait in the backlog.
        """
        super().__init__(
            app,
            map=sockets,
            _sock=listener,
            dispatcher=_Pool(threads),
            adj=Adjustments(threads=threads, **_SETTINGS),
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            bind_socket=False,
        )
        self.name = name
        self.connections = connections
        self.full = False
        self.draining = False

    def readable(self) -> bool:
        """Whether to accept; waitress's own limit would count the other plane's connections."""
        full = len(self.active_channels) >= self.connections
        if full and not self.full:
            logger.warning(
                "plane %s has %d connections open, its most", self.name, self.connections
            )
        self.full = full
        return bool(super().readable()) and not full

    def stop_accepting(self) -> None:
        """Take in what waits in the backlog, then close the listener."""
        if self.socket is None:
            return
        for _ in range(2 * BACKLOG):
            before = len(self.active_channels)
            self.handle_accept()
            if len(self.active_channels) == before:
                break
        # Not self.close(): that closes the trigger as well, which channels and threads still use.
        wasyncore.dispatcher.close(self)

    def close_idle(self, since: float) -> None:
        """Close the connections on which nothing has happened since that time.time()."""
        for channel in list(self.active_channels.values()):
            if channel.is_idle(since):
                channel.handle_close()

    def is_busy(self) -> bool:
        """Whether a connection is open, or a request waits or runs."""
        pool = self.task_dispatcher
        return bool(self.active_channels or pool.queue or pool.active_count > 0)

    def load(self) -> Load:
        """How busy it is now."""
        pool = self.task_dispatcher
        return Load(
            queued=len(pool.queue),
            busy=pool.active_count,
            threads=len(pool.threads),
            connections=len(self.active_channels),
        )

    def end(self) -> bool:
        """Cut what is still open and stop the threads.

        Returns:
            Whether all threads ended; one that is stuck in the app dies with the process.
        """
        for channel in list(self.active_channels.values()):
            channel.handle_close()
        self.task_dispatcher.shutdown(timeout=1)
        return not self.task_dispatcher.threads

    def close_trigger(self) -> None:
        """Close the pipe that wakes the loop; no thread may be left that would write to it."""
        with contextlib.suppress(OSError):
            self.trigger.close()
