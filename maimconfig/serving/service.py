"""One service from start to end: listeners, processes, planes."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from maimconfig.serving.affinity import bind_to_cpu
from maimconfig.serving.children import REPLACED
from maimconfig.serving.errors import ServeError
from maimconfig.serving.notify import notify
from maimconfig.serving.sockets import (
    Bind,
    address_of,
    open_listener,
    raise_file_limit,
    refuse_newcomers,
)
from maimconfig.serving.stopping import StopRequest
from maimconfig.serving.supervisor import Patience, Supervisor
from maimconfig.serving.worker import SelfServing, Worker

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)

T = TypeVar("T")

RESTARTS = (signal.SIGHUP, REPLACED)  # after which another process answers
BEYOND_DRAIN = 5.0  # s that a worker may take for closing, after its drain, before it's killed


@dataclass(frozen=True)
class Planes:
    """What a process serves.

    Attributes:
        apps: WSGI application by plane.
        self_serving: planes that serve themselves, by name.
        on_drain: called when draining begins; must be quick.
        close: called after the drain, and when serving fails: write what is in memory, close.
    """

    apps: Mapping[str, WSGIApplication]
    on_drain: Callable[[], None]
    close: Callable[[], None]
    self_serving: Mapping[str, SelfServing] = field(default_factory=dict)


def run(
    make_apps: Callable[[], Planes],
    binds: Mapping[str, Bind],
    *,
    workers: int,
    threads: int,
    affinity: bool,
    announce: Callable[[Mapping[str, str]], None],
    drain_seconds: float = 25,
    warm: Callable[[], None] | None = None,
) -> int:
    """Serve until a signal ends it; call it in the main thread.

    SIGTERM and SIGINT drain. SIGHUP renews several workers one after the other, without a pause in
    service; a single one drains and ends. Workers are forks: what was imported before stays as it
    was, so new code needs a new start.

    Args:
        make_apps: makes what is served, in the process that serves it. May raise ServeError.
        binds: where each plane listens; a plane without an address isn't served.
        workers: processes; with 1 it's this one.
        threads: of each plane in each process.
        affinity: whether to bind each process to one CPU, where the system can.
        announce: called once, when the first worker answers, with each plane's real address.
        drain_seconds: how long a drain may take before what is left is cut.
        warm: called in this process before workers are forked, to import what they share. It must
            not start threads.

    Returns:
        The exit code: 0 after a drain; 1, with a sentence on stderr, when the start failed.
    """
    service = _Service(make_apps, threads, affinity, drain_seconds, announce)
    return _or_complain(lambda: _run(service, binds, workers, warm))


def _run(
    service: _Service, binds: Mapping[str, Bind], workers: int, warm: Callable[[], None] | None
) -> int:
    raise_file_limit()
    try:
        service.open_listeners(binds)
        if warm is not None:
            _starting(warm)
        return service.alone() if workers == 1 else service.supervised(workers)
    finally:
        service.close_listeners()


@dataclass
class _Service:
    """The steps of `run`, which the first process and its forks share."""

    make_apps: Callable[[], Planes]
    threads: int
    affinity: bool
    drain_seconds: float
    announce: Callable[[Mapping[str, str]], None]
    listeners: dict[str, socket.socket] = field(default_factory=dict)

    def open_listeners(self, binds: Mapping[str, Bind]) -> None:
        """Open all, or leave those that were opened to `close_listeners`."""
        for plane, bind in binds.items():
            self.listeners[plane] = open_listener(bind)

    def close_listeners(self) -> None:
        """Close this process's listeners, as far as a worker hasn't."""
        for listener in self.listeners.values():
            listener.close()

    def alone(self) -> int:
        """Serve in this process."""
        with StopRequest(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as stop:
            return self._serve(0, stop, on_ready=self._greet, on_drain=self._shut_the_door)

    def supervised(self, workers: int) -> int:
        """Serve in several processes."""
        return Supervisor(
            lambda slot, ready: _or_complain(lambda: self._as_child(slot, ready)),
            workers,
            on_ready=self._greet,
            on_stop=self._leave_the_door,
            patience=Patience(drain=self.drain_seconds + BEYOND_DRAIN),
        ).run()

    def _as_child(self, slot: int, ready: Callable[[], None]) -> int:
        with StopRequest(signal.SIGTERM, REPLACED) as stop:
            return self._serve(slot, stop, on_ready=ready, on_drain=lambda: None)

    def _serve(
        self,
        slot: int,
        stop: StopRequest,
        *,
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
    ) -> int:
        if self.affinity:
            bind_to_cpu(slot)
        planes = _starting(self.make_apps)
        try:
            worker = self._worker(planes, on_drain)
            stop.tell(lambda number: worker.stop(restart=number in RESTARTS))
            on_ready()
            worker.serve()
        finally:
            planes.close()
        return 0

    def _worker(self, planes: Planes, on_drain: Callable[[], None]) -> Worker:
        def begin_drain() -> None:
            on_drain()
            planes.on_drain()

        served = planes.apps.keys() | planes.self_serving.keys()
        if absent := self.listeners.keys() - served:
            raise ServeError(f"there is no app for the plane {', '.join(sorted(absent))}")
        return Worker(
            planes.apps,
            planes.self_serving,
            self.listeners,
            threads=self.threads,
            drain_seconds=self.drain_seconds,
            on_drain=begin_drain,
        )

    def _greet(self) -> None:
        self.announce({plane: address_of(sock) for plane, sock in self.listeners.items()})
        notify("READY=1")

    def _shut_the_door(self) -> None:
        notify("STOPPING=1")
        refuse_newcomers(self.listeners.values())

    def _leave_the_door(self) -> None:
        # The workers drain and close theirs; were this one left open, clients would wait at it
        # for an answer from nobody.
        self._shut_the_door()
        self.close_listeners()


def _starting(step: Callable[[], T]) -> T:
    """Run a step of the start; whatever it raises becomes a sentence."""
    try:
        return step()
    except ServeError:
        raise
    except Exception as error:  # the outermost edge of a start
        logger.debug("the start failed", exc_info=True)
        text = " ".join(str(error).split())
        raise ServeError(f"the service could not start: {type(error).__name__}: {text}") from error


def _or_complain(action: Callable[[], int]) -> int:
    try:
        return action()
    except ServeError as error:
        sys.stderr.write(f"maimconfig: {error}\n")
        return 1
    except KeyboardInterrupt:  # told to stop before anything was served
        return 0
