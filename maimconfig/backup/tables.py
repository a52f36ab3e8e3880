"""The tables as they are in a database, whatever its revision and kind.

They are read from the database and not from the models: a backup of an older revision is restored
at that revision, and migrated afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, DateTime, MetaData, Table, false, func, select

BUILT_IN = "agent_templates"
STATE = "system_state"


def tables_of(connection: Connection) -> list[Table]:
    """The tables of ours that are there, those first that others refer to."""
    from maimconfig.db.all_models import metadata as ours

    found = MetaData()
    found.reflect(connection, only=lambda name, _: name in ours.tables)
    return found.sorted_tables


def ordered(table: Table) -> Any:
    """All rows of a table by primary key, which follows the time: a row comes after one of the
    same table that it refers to."""
    return select(table).order_by(*table.primary_key.columns)


def count(connection: Connection, table: Table) -> int:
    """How many rows a table has."""
    return connection.scalar(select(func.count()).select_from(table)) or 0


def is_used(connection: Connection, tables: Iterable[Table]) -> bool:
    """Whether there is anything but what migrations and the first start put there."""
    for table in tables:
        rows = select(1).select_from(table).limit(1)
        if table.name == BUILT_IN:
            rows = rows.where(table.c.is_builtin == false())
        if table.name != STATE and connection.scalar(rows) is not None:
            return True
    return False


def reader_of(table: Table, columns: Sequence[str]) -> Callable[[list[Any]], dict[str, Any]]:
    """Makes of a backup's row the values to insert."""
    times = {name for name in columns if isinstance(table.c[name].type, DateTime)}

    def read(values: list[Any]) -> dict[str, Any]:
        row = dict(zip(columns, values, strict=True))
        for name in times:
            if row[name] is not None:
                row[name] = datetime.fromisoformat(row[name])
        return row

    return read
