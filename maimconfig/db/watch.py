"""Whether MySQL answers at all: a server that hangs must not hold the threads that wait for it.

A statement may take half a minute, so a time-out can't tell a slow one from a server that hangs,
and with a few dozen callers all threads wait, those that answer /health too. So one thread of the
process asks for nothing but an answer; without one it ends all waits, and until there is one again
nobody waits for a new connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import weakref
from typing import Any

import structlog
from sqlalchemy import Engine, event

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# Without a table, a lock or the disk even a busy server needs milliseconds.
ANSWER_SECONDS = 4.0
# MySQL, as the client says it: can't connect, can't connect, server gone, connection lost.
_SILENCE = {2002, 2003, 2006, 2013}


class Watch:
    """Watches the server of some engines.

    Attributes:
        away: whether it doesn't answer.
    """

    def __init__(self, *engines: Engine) -> None:
        """Know of the engines' connections from now on; `start` begins to look.

        Args:
            engines: of one MySQL.
        """
        self.away = False
        self._dialect = engines[0].dialect
        self._url = engines[0].url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._own: Any = None
        self._thread: threading.Thread | None = None
        for engine in engines:
            event.listen(engine, "do_connect", self._may_connect)
            event.listen(engine, "connect", self._connected)

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="database-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, which may wait for an answer still."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def forget(self) -> None:
        """Leave all connections to the process that this one was forked from, and its thread."""
        self._lock = threading.Lock()
        self._connections = weakref.WeakSet()
        self._own = self._thread = None

    def _may_connect(self, _dialect: Any, _record: Any, _args: Any, given: dict[str, Any]) -> None:
        if self.away:
            raise self._dialect.loaded_dbapi.OperationalError(2003, "the server does not answer")
        # The driver would wait for the server's greeting as long as for a statement.
        given["read_timeout"] = min(ANSWER_SECONDS, given["read_timeout"])

    def _connected(self, connection: Any, _record: Any) -> None:
        connection._read_timeout = connection._write_timeout  # the engine gives both the same
        with self._lock:
            self._connections.add(connection)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:  # the outermost edge of this thread
                self._look()
            except Exception:
                log.exception("database.watch_failed")
        self._hang_up()

    def _look(self) -> None:
        answers = self._answers()
        if not answers and not self.away:
            log.warning("database.does_not_answer")
            self.away = True
            self._end_waits()
        elif answers and self.away:
            log.info("database.answers_again")
            self.away = False

    def _answers(self) -> bool:
        began = time.monotonic()
        # A connection may have ended for a reason of its own, which says nothing of the server.
        while True:
            fresh = self._own is None
            try:
                self._ask()
            except self._dialect.loaded_dbapi.Error as error:
                self._hang_up()
                if error.args and error.args[0] not in _SILENCE:
                    return True
                if fresh or time.monotonic() - began >= ANSWER_SECONDS:
                    return False
            else:
                return True

    def _ask(self) -> None:
        if self._own is None:
            args, given = self._dialect.create_connect_args(self._url)
            limits = dict.fromkeys(
                ("connect_timeout", "read_timeout", "write_timeout"), ANSWER_SECONDS
            )
            self._own = self._dialect.loaded_dbapi.connect(*args, **{**given, **limits})
        self._own.ping(reconnect=False)

    def _hang_up(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            with contextlib.suppress(self._dialect.loaded_dbapi.Error, OSError):
                own.close()

    def _end_waits(self) -> None:
        """Have everybody who waits for an answer read the end of the connection."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            waiting = connection._sock
            if waiting is not None:
                with contextlib.suppress(OSError):  # it ended meanwhile
                    # Not the method of a TLS socket, which would take it apart under its reader.
                    socket.socket.shutdown(waiting, socket.SHUT_RDWR)
