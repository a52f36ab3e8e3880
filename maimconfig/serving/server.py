"""waitress, with what a drain and two planes in one process need beyond it.

A plane is a PlaneServer: a listening socket, an app, and a pool of threads of its own, so that
the public plane can't starve the internal one. Several share one loop and its map of sockets.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from maimconfig.serving.channel import Channel
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
    "cleanup_interval": 5,
    "outbuf_high_watermark": MIB,  # what a client that doesn't read may hold of our memory
    "expose_tracebacks": False,
    # waitress would delete X-Forwarded-For; the app believes it for trusted proxies alone, and
    # reads no other header of the kind.
    "clear_untrusted_proxy_headers": False,
    "backlog": BACKLOG,
}

# waitress closes who is silent; one that never ends its request needn't be.
ARRIVING = 120.0  # s from a request's first byte to its last
# A plane that has all its connections closes those that did nothing for so long.
SPARED = 5.0  # s
ARRIVING_WHEN_FULL = 15.0  # s
# So many open connections make a turn of the loop as long as taking in another one.
CROWD = 50
CLOCK_MOVED = 1.0  # s; less is the clock's own correction


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

    channel_class = Channel

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
        self._clock = time.time() - time.monotonic()

    def readable(self) -> bool:
        """Whether to accept; waitress's own limit would count the other plane's connections."""
        self._follow_clock()
        full = len(self.active_channels) >= self.connections
        if full and not self.full:
            logger.warning(
                "plane %s has %d connections open, its most", self.name, self.connections
            )
        if full and not self.full:
            # Each look costs a system call a connection: the next one is a cleanup's.
            self._make_room()
        self.full = full
        return bool(super().readable()) and not full

    def handle_accept(self) -> None:
        """Take in a connection, or several where many are open: each turn of the loop looks at all
        of them, so that a crowd of newcomers would have to wait for as many turns."""
        number = len(self.active_channels)
        more = min(number // CROWD, self.connections - number - 1)
        for _ in range(1 + max(more, 0)):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break

    def maintenance(self, now: float) -> None:
        """Close what is idle, and whose client lets us wait; waitress calls it now and then."""
        # waitress has read the clock, which may have been set since it was last followed.
        now = self._clock + time.monotonic()
        super().maintenance(now)
        self._close(channel for channel in self._all() if channel.is_overdue(now, ARRIVING))
        if self.full:
            self._make_room()

    def _make_room(self) -> None:
        now = time.time()
        self._close(
            channel
            for channel in self._all()
            if channel.is_idle(now - SPARED) or channel.is_overdue(now, ARRIVING_WHEN_FULL)
        )

    def _all(self) -> list[Channel]:
        return list(self.active_channels.values())

    def _close(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            # waitress would wait until the socket can be written to, which of one whose client
            # doesn't read is never.
            channel.will_close = True
            channel.handle_close()

    def _follow_clock(self) -> None:
        """Keep waitress's moments, which are of the wall clock, right when that is set.

        Back by an hour, nothing idle would be closed for so long; forward, everything would be.
        """
        clock = time.time() - time.monotonic()
        moved = clock - self._clock
        if abs(moved) < CLOCK_MOVED:
            return
        self._clock = clock
        self.next_channel_cleanup += moved
        for channel in self.active_channels.values():
            # One that was active in this very moment has the new time already.
            moments = (channel.last_activity, channel.last_activity + moved)
            channel.last_activity = min(moments, key=lambda at: abs(time.time() - at))

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
        self._close(channel for channel in self._all() if channel.is_idle(since))

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
        self._close(self._all())
        self.task_dispatcher.shutdown(timeout=1)
        return not self.task_dispatcher.threads

    def close_trigger(self) -> None:
        """Close the pipe that wakes the loop; no thread may be left that would write to it."""
        with contextlib.suppress(OSError):
            self.trigger.close()
