"""One MariaDB for all workers of pytest-xdist, started when the first test asks for it.

The controller owns the server, so that it ends with the run, however the workers end. It listens
on a socket; a worker asks there for the URL.
"""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Client, Listener

from tests.servers.mariadb import MariaDB
from tests.servers.private import ServerUnavailable


class SharedMariaDB:
    """The controller's side."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._server: MariaDB | None = None
        self._failure: str | None = None
        self._listener: Listener | None = None
        self._lock = threading.Lock()

    def url(self) -> str:
        """The server's URL; the first call starts it.

        Raises:
            ServerUnavailable: it can't be had here.
        """
        with self._lock:
            if self._failure is None and self._server is None:
                try:
                    self._server = MariaDB()
                except ServerUnavailable as error:
                    self._failure = str(error)
            if self._server is None:
                raise ServerUnavailable(self._failure)
            return self._server.url

    def address(self) -> str:
        """Where workers ask; the first call begins to listen."""
        if self._listener is None:
            self._listener = Listener(family="AF_UNIX")
            # The kernel ends the server with the thread that started it: this one lives until
            # the controller ends.
            threading.Thread(target=self._answer_workers, daemon=True).start()
        return str(self._listener.address)

    def close(self) -> None:
        """End the server."""
        with self._lock:
            if self._server is not None:
                self._server.close()
        if self._listener is not None:
            self._listener.close()

    def _answer_workers(self) -> None:
        while True:
            try:
                with self._listener.accept() as worker:
                    worker.send(self._answer())
            except OSError:  # closed
                return

    def _answer(self) -> tuple[str | None, str | None]:
        try:
            return self.url(), None
        except ServerUnavailable as error:
            return None, str(error)


def ask(address: str) -> str:
    """A worker's side: the URL of the controller's server.

    Raises:
        ServerUnavailable: it can't be had here.
    """
    with Client(address, family="AF_UNIX") as controller:
        url, failure = controller.recv()
    if url is None:
        raise ServerUnavailable(failure)
    return url


def given_url(variable: str) -> str | None:
    """The URL of a server that is there already, when the environment names one."""
    return os.environ.get(variable) or None
