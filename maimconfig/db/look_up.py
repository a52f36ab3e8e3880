"""Look-ups of the hot paths: a query compiled once and run past SQLAlchemy's execution layer.

SQLAlchemy's connection and execution cost more than the query itself (0.1 of 0.3 ms), so the
statement is compiled from the models once, with the types' own result processors, and run on a
connection that is kept for such queries: the pool's checking out and in costs as much again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Select

from maimconfig.db.session import Database
from maimconfig.http.errors import DatabaseUnavailable

R = TypeVar("R")


class LookUp(Generic[R]):
    """Finds one row by one value."""

    def __init__(self, database: Database, query: Any, record: Callable[..., R]) -> None:
        """Compile the query for a database.

        Args:
            query: a select with one bind parameter, `value`.
            record: makes what is found of the columns, in their order.
        """
        self._connections = database.kept
        self._dialect = database.reader.dialect
        compiled = query.compile(dialect=self._dialect)
        self._text = str(compiled)
        self._positional = compiled.positional  # sqlite3 is, PyMySQL isn't
        self._processors = _processors(query, self._dialect)
        self._record = record

    def find(self, value: str) -> R | None:
        """What is found under a value.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        try:
            row = self._fetch(value)
        except _Disconnected:
            # Nobody pings these connections: after a restart of the database all are dead.
            self._connections.close()
            row = self._again(value)
        return None if row is None else self._record(*self._processed(row))

    def _again(self, value: str) -> Sequence[Any] | None:
        try:
            return self._fetch(value)
        except _Disconnected as error:
            raise DatabaseUnavailable(internal=str(error)) from error

    def _fetch(self, value: str) -> Sequence[Any] | None:
        connection = self._connections.take()
        try:
            cursor = connection.cursor()
            cursor.execute(self._text, (value,) if self._positional else {"value": value})
            row: Sequence[Any] | None = cursor.fetchone()
            # What is read to the end and closed holds no snapshot and no lock.
            cursor.close()
        except self._dialect.loaded_dbapi.Error as error:
            connection.close()
            if self._dialect.is_disconnect(error, connection, None):
                raise _Disconnected(str(error)) from error
            raise DatabaseUnavailable(internal=str(error)) from error
        self._connections.give(connection)
        return row

    def _processed(self, row: Sequence[Any]) -> list[Any]:
        return [
            value if process is None else process(value)
            for value, process in zip(row, self._processors, strict=True)
        ]


class _Disconnected(Exception):
    """The connection turned out to be gone."""


def _processors(query: Select[Any], dialect: Any) -> list[Callable[[Any], Any] | None]:
    return [
        column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in query.selected_columns
    ]
