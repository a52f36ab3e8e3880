"""Statements of the paths that are taken most, run in a unit of work past the ORM.

SQLAlchemy builds, caches and executes an ORM statement in 250 us, of which SQLite needs 15. Here it
is compiled once from the models and handed to the unit's connection, whose errors and transaction
are SQLAlchemy's as ever. What only reads and belongs to no transaction is a look-up instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import insert

from maimconfig.db.compiled import Compiled
from maimconfig.db.session import Session

R = TypeVar("R")


def _row(*values: Any) -> Any:
    return values


class Statement(Generic[R]):
    """A statement that is compiled when a database first meets it."""

    def __init__(self, statement: Any, record: Callable[..., R] = _row) -> None:
        """
        Args:
            statement: a select, insert, update or delete; its bind parameters have names.
            record: makes what is found of the columns of a select, in their order.
        """
        self._statement = statement
        self._record = record
        self._compiled: dict[str, Compiled] = {}

    def all(self, session: Session, **values: Any) -> list[R]:
        """What is found, by the values of the bind parameters."""
        compiled, result = self._executed(session, values)
        return [self._record(*compiled.made(row)) for row in result.all()]

    def first(self, session: Session, **values: Any) -> R | None:
        """The first that is found, or None."""
        found = self.all(session, **values)
        return found[0] if found else None

    def run(self, session: Session, **values: Any) -> int:
        """Change something; how many rows there were to change."""
        _, result = self._executed(session, values)
        rows: int = result.rowcount
        return rows

    def _executed(self, session: Session, values: dict[str, Any]) -> tuple[Compiled, Any]:
        connection = session.of_unit
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = Compiled(self._statement, connection.dialect)
            self._compiled[connection.dialect.name] = compiled
        return compiled, connection.exec_driver_sql(compiled.text, compiled.given(values))


class Addition:
    """The insertion of one row."""

    def __init__(self, model: Any) -> None:
        """
        Args:
            model: the columns that aren't given get its defaults, or NULL.
        """
        columns = model.__table__.columns
        self._defaults = {column.name: _default(column) for column in columns}
        self._statement: Statement[Any] = Statement(insert(model.__table__))

    def run(self, session: Session, **columns: Any) -> None:
        """Store a row."""
        if unknown := columns.keys() - self._defaults.keys():
            raise TypeError(f"no such columns: {sorted(unknown)}")
        self._statement.run(session, **{**self._defaults, **columns})


def _default(column: Any) -> Any:
    default = column.default
    return default.arg if default is not None and default.is_scalar else None
