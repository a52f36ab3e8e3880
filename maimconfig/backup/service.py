"""Making a backup of a running service's database."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from maimconfig import __version__, clock
from maimconfig.backup import container, tables
from maimconfig.backup.container import BackupError, Header, Writer
from maimconfig.db import migrations
from maimconfig.db.lifecycle import stored_secret_id
from maimconfig.db.session import Database

BATCH = 500

Progress = Callable[[int, int], None]
"""Told of the rows that are done and of all rows."""


def create(database: Database, path: Path, progress: Progress) -> Header:
    """Write all rows, as they are at one moment, into a file; the service goes on meanwhile.

    Args:
        path: is there whole in the end, or as it was before.

    Raises:
        BackupError: the database has no tables, or a newer version's; the file can't be written.
    """
    schema = migrations.current(database)
    if schema in (None, migrations.RESTORING):
        raise BackupError(
            "The database has no tables, or not all rows: there is nothing to back up."
        )
    if schema > migrations.head():
        raise BackupError(
            f"The database's schema is {schema} and this version knows {migrations.head()}: "
            "back it up with the version that made it."
        )
    with container.written(path) as writer, _snapshot(database, path.parent) as connection:
        found = tables.tables_of(connection)
        header = Header(
            schema=schema,
            secret_id=stored_secret_id(connection),
            rows={str(table.name): tables.count(connection, table) for table in found},
            made_at=clock.wire(clock.now()),
            version=__version__,
            database="sqlite" if database.is_sqlite else "mysql",
        )
        writer.header(header)
        _write_rows(connection, writer, header, progress)
    return header


def _write_rows(connection: Connection, writer: Writer, header: Header, progress: Progress) -> None:
    done, total = 0, sum(header.rows.values())
    for table in tables.tables_of(connection):
        writer.table(str(table.name), [str(column.name) for column in table.columns])
        rows = connection.execution_options(yield_per=BATCH).execute(tables.ordered(table))
        for batch in rows.partitions():
            for row in batch:
                writer.row(tuple(row))
            done += len(batch)
            progress(done, total)


@contextlib.contextmanager
def _snapshot(database: Database, folder: Path) -> Iterator[Connection]:
    """A connection that sees the database as it is now, whatever is written meanwhile."""
    take = _copy_of_sqlite if database.is_sqlite else _snapshot_of_mysql
    with take(database, folder) as connection:
        yield connection


@contextlib.contextmanager
def _copy_of_sqlite(database: Database, folder: Path) -> Iterator[Connection]:
    # The copy is made at the disk's speed. Were the rows read from the file itself, SQLite could
    # not take anything over from its log until the last one is packed.
    with tempfile.TemporaryDirectory(prefix=".maimconfig-backup-", dir=folder) as aside:
        copy = Path(aside) / "copy.db"
        copy_sqlite(Path(str(database.url.database)), copy)
        engine = create_engine(f"sqlite:///{copy}")
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def copy_sqlite(source: Path, target: Path) -> None:
    """Put a SQLite file's content into another one, in one transaction of each.

    Raises:
        BackupError: one of them can't be used.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(source)) as one,
            contextlib.closing(sqlite3.connect(target)) as other,
        ):
            one.backup(other)
    except sqlite3.Error as error:
        raise BackupError(f"{source} can't be copied to {target}: {error}.") from error


@contextlib.contextmanager
def _snapshot_of_mysql(database: Database, _folder: Path) -> Iterator[Connection]:
    with database.reader.connect() as connection:
        connection.detach()  # nobody else shall have it with this isolation level
        for statement in (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ):
            connection.execute(text(statement))
        yield connection
