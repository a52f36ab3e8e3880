"""One process's planes: their loop, and how it ends."""

from __future__ import annotations

import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from waitress import wasyncore
from waitress.trigger import trigger

from maimconfig.serving.server import PlaneServer
from maimconfig.serving.sockets import raise_file_limit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

CONNECTIONS = 2000  # of each plane
FILES_ELSEWHERE = 256  # left to databases, logs and temporary files of bodies
SETTLE = 0.1  # s: handshakes under way when we were told to stop may still complete
IDLE = 1.0  # s: a keep-alive connection is closed when silent for this long
TURN = 0.05  # s: the drain looks this often whether it's done


class SelfServing(Protocol):
    """A plane that is no WSGI app: it serves a listener by itself, on threads of its own."""

    def start(self, listener: socket.socket, connections: int) -> None:
        """Serve.

        Args:
            listener: an open one, which is the plane's from here on.
            connections: the most that may be open at once.
        """

    def drain(self, restart: bool) -> None:
        """Begin to end what is under way, and return at once.

        Args:
            restart: whether another process takes over.
        """

    def is_busy(self) -> bool:
        """Whether something is still under way."""

    def end(self) -> None:
        """Cut what is still open, and end the threads."""


class Worker:
    """Serves planes from one loop until told to stop, and then drains them.

    A drain loses no request whose bytes have arrived. Connections in the backlog are accepted and
    the listeners closed; every answer from then on says `Connection: close`, and a client that
    reads it opens its next connection elsewhere; a connection is closed unasked only when it has
    been silent for a second, and holds nothing unread at that moment.
    """

    def __init__(
        self,
        apps: Mapping[str, WSGIApplication],
        self_serving: Mapping[str, SelfServing],
        listeners: Mapping[str, socket.socket],
        *,
        threads: int,
        drain_seconds: float,
        on_drain: Callable[[], None],
    ) -> None:
        """Make the planes ready; `serve` answers.

        Args:
            apps: WSGI applications by plane; those without a listener are left out.
            self_serving: planes that serve themselves; likewise.
            listeners: open sockets by plane. They are the worker's from here on.
            threads: of each plane.
            drain_seconds: how long a drain may take; what is still open then is cut.
            on_drain: called in the loop's thread when draining begins; must be quick.
        """
        # Its "Task queue depth" warnings are load, not fault, and come once a request.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._sockets: dict[int, Any] = {}
        self._wake = trigger(self._sockets)
        self._stopping = False
        self._restart = False
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._self_serving: list[SelfServing] = []
        room = (raise_file_limit() - FILES_ELSEWHERE) // max(1, len(listeners))
        self._planes = [
            PlaneServer(
                name,
                apps[name],
                listener,
                self._sockets,
                threads=threads,
                connections=max(16, min(CONNECTIONS, room)),
            )
            for name, listener in listeners.items()
            if name in apps
        ]
        for name, listener in listeners.items():
            if name in self_serving:
                self_serving[name].start(listener, room)
                self._self_serving.append(self_serving[name])

    def stop(self, *, restart: bool = False) -> None:
        """Ask for the drain; may be called from a signal handler or another thread, and twice.

        Args:
            restart: whether another process takes over.
        """
        if not self._stopping:
            self._restart = restart
            self._stopping = True
            # A byte into a pipe of the loop's own, so the pipe is never full and this never waits.
            self._wake.pull_trigger()

    def serve(self) -> bool:
        """Answer requests until `stop`, then drain.

        Returns:
            Whether all ended by itself; False when the limit cut something.
        """
        # What the start has made stays; each full collection would look it all through again,
        # for 65 ms in which nobody is answered.
        gc.freeze()
        try:
            while not self._stopping:
                self._turn(1.0)
            self._drain()
        finally:
            drained = self._end()
        return drained

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._sockets, count=1)

    def _drain(self) -> None:
        limit = time.monotonic() + self._drain_seconds
        started = time.time()
        for plane in self._planes:
            plane.draining = True
        for other in self._self_serving:
            other.drain(self._restart)
        self._call_on_drain()
        settled = time.monotonic() + SETTLE
        while time.monotonic() < settled:
            self._turn(TURN)
        for plane in self._planes:
            plane.stop_accepting()
        while self._is_busy() and time.monotonic() < limit:
            self._turn(TURN)
            self._close_idle(started)

    def _is_busy(self) -> bool:
        return self._count_busy() > 0

    def _count_busy(self) -> int:
        return sum(plane.is_busy() for plane in self._planes) + sum(
            other.is_busy() for other in self._self_serving
        )

    def _call_on_drain(self) -> None:
        try:
            self._on_drain()
        except Exception:  # somebody else's code must not cost the requests in flight
            logger.exception("on_drain failed; draining all the same")

    def _close_idle(self, started: float) -> None:
        # Nobody is idle in the first second: a busy client gets to ask once more and be told.
        since = time.time() - IDLE
        if since > started:
            for plane in self._planes:
                plane.close_idle(since)

    def _end(self) -> bool:
        self._stopping = True  # also after an error: there's nothing left to wake
        cut = self._count_busy()
        for other in self._self_serving:
            other.end()
        if cut:
            logger.warning("pid %d: %d planes were cut while busy", os.getpid(), cut)
        ended = [plane.end() for plane in self._planes]
        if all(ended):
            # A thread that is left may still pull a trigger, that is write a byte to a number
            # that could by then be another file's, a database's even: then they stay open.
            wasyncore.close_all(self._sockets)
            for plane in self._planes:
                plane.close_trigger()
        return not cut
