"""Look-ups of the hot paths: queries compiled once and run past SQLAlchemy's execution layer.

SQLAlchemy's session and execution cost 150 us a query, ten times what SQLite needs for it. So the
statement is compiled from the models once, with the types' own result processors, and run on a
connection that is kept for such queries: the pool's checking out and in costs as much again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Dialect

from maimconfig.db.compiled import Compiled
from maimconfig.db.kept import KeptConnections
from maimconfig.db.slow import Slow
from maimconfig.http.errors import DatabaseUnavailable

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class LookUp(Generic[R]):
    """A query of the hot paths, the same for every database.

    Attributes:
        statement: a select; its bind parameters have names.
        record: makes what is found of the columns, in their order.
    """

    statement: Any
    record: Callable[..., R]


class Prepared(Generic[R]):
    """A look-up, ready to run on one database."""

    def __init__(
        self,
        look_up: LookUp[R],
        dialect: Dialect,
        connections: KeptConnections,
        slow: Slow,
    ) -> None:
        """Compile it.

        Args:
            dialect: of the database.
            connections: that it runs on.
            slow: is told how long it took.
        """
        self._compiled = Compiled(look_up.statement, dialect)
        self._record = look_up.record
        self._dialect = dialect
        self._connections = connections
        self._slow = slow

    def run(self, values: dict[str, Any]) -> list[R]:
        """All that is found.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        try:
            rows = self._fetch(values)
        except _Disconnected:
            # Nobody pings these connections: after a restart of the database all are dead.
            self._connections.renew()
            rows = self._again(values)
        return [self._record(*self._compiled.made(row)) for row in rows]

    def _again(self, values: dict[str, Any]) -> Sequence[Any]:
        try:
            return self._fetch(values)
        except _Disconnected as error:
            raise DatabaseUnavailable(internal=str(error)) from error

    def _fetch(self, values: dict[str, Any]) -> Sequence[Any]:
        given = self._compiled.given(values)
        began = time.perf_counter()
        connection = self._connections.take()
        try:
            cursor = connection.cursor()
            cursor.execute(self._compiled.text, given)
            # What is read to the end and closed holds no snapshot and no lock.
            rows: Sequence[Any] = cursor.fetchall()
            cursor.close()
        except self._dialect.loaded_dbapi.Error as error:
            connection.close()
            if self._dialect.is_disconnect(error, connection, None):
                raise _Disconnected(str(error)) from error
            raise DatabaseUnavailable(internal=str(error)) from error
        self._connections.give(connection)
        self._slow.note(self._compiled.text, time.perf_counter() - began)
        return rows


class _Disconnected(Exception):
    """The connection turned out to be gone."""
