"""A database's tables: made by the migrations, emptied between tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, Table, delete, make_url

if TYPE_CHECKING:
    from maimconfig.db.session import Database

# The tables as they are in each database, in the order in which they refer to each other.
_tables: dict[str, list[Table]] = {}


def migrate(url: str) -> None:
    """Bring the database to the newest schema."""
    # Imported here so that a broken model fails the tests that need it, not the whole run.
    from maimconfig.db import migrations

    with _database(url) as database:
        migrations.upgrade(database)


def empty(url: str) -> None:
    """Delete all rows but what the migrations put there."""
    with _database(url) as database, database.writer.begin() as connection:
        if url not in _tables:
            metadata = MetaData()
            metadata.reflect(connection)
            _tables[url] = metadata.sorted_tables
        for table in reversed(_tables[url]):
            if table.name == "alembic_version":
                continue
            rows = delete(table)
            if table.name == "agent_templates":
                rows = rows.where(table.c.is_builtin == 0)
            connection.execute(rows)


@contextlib.contextmanager
def _database(url: str) -> Iterator[Database]:
    from maimconfig.db.session import Database

    database = Database(make_url(url), pool_size=2, synchronous="NORMAL")
    try:
        yield database
    finally:
        database.dispose()
