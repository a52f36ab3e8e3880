"""Connections kept outside the pool, for queries so short that the pool would cost more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from maimconfig.http.errors import DatabaseUnavailable


class KeptConnections:
    """A driver's connections, at most as many as threads have used at once.

    The one that was given back last is taken first, so that the warmest cache is used.
    """

    def __init__(self, engine: Engine) -> None:
        """Nothing is connected yet.

        Args:
            engine: makes the connections; its statements each must be their own transaction.
        """
        self._engine = engine
        self._idle: list[Any] = []
        self._foreign: list[Any] = []

    def take(self) -> Any:
        """A connection for this thread alone; give it back, or close it when it failed.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def give(self, connection: Any) -> None:
        """Keep a connection for the next one; all its results must be closed."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close the idle ones."""
        while self._idle:
            try:
                self._idle.pop().close()
            except (IndexError, self._engine.dialect.loaded_dbapi.Error):
                continue

    def forget(self) -> None:
        """Leave the idle ones to the process that this one was forked from, without closing them:
        that would end them there too."""
        self._foreign, self._idle = self._idle, []

    def renew(self) -> None:
        """Drop all that is connected, in the pool too, from which new ones come."""
        self.close()
        self._engine.dispose()

    def _connect(self) -> Any:
        try:
            connection = self._engine.raw_connection()
        except (PoolTimeout, DBAPIError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise DatabaseUnavailable(internal=f"no connection: {error}") from error
        connection.detach()
        return connection.dbapi_connection
