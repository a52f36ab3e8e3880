"""Putting a backup into a database, of either kind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, inspect, make_url, text
from sqlalchemy.exc import IntegrityError

from maimconfig.backup import container, tables
from maimconfig.backup.container import BackupError, Header
from maimconfig.backup.service import BATCH, Progress, copy_sqlite
from maimconfig.db import lifecycle, migrations
from maimconfig.db.session import Database
from maimconfig.security.vault import Vault


@dataclass(frozen=True)
class Restore:
    """A backup that may be put into a database: everything was asked that can be, beforehand.

    Attributes:
        path: of the backup.
        header: what it says of itself.
        database: where it goes.
    """

    path: Path
    header: Header
    database: Database

    def run(self, progress: Progress) -> None:
        """Replace the database's content, at this version's schema.

        SQLite's file is made aside and taken over in one transaction. MySQL commits each change
        of a table: what is interrupted there is marked, so that no service works on it, and is
        done again with `force`.

        Raises:
            BackupError: a row is missing, or refers to one that isn't there.
        """
        if self.database.is_sqlite:
            self._aside(progress)
        else:
            _drop_all(self.database)
            self._fill(self.database, progress)

    def _aside(self, progress: Progress) -> None:
        lifecycle.prepare_file(self.database)
        target = Path(str(self.database.url.database))
        with tempfile.TemporaryDirectory(
            prefix=".maimconfig-restore-", dir=target.parent
        ) as folder:
            url = make_url("sqlite://").set(database=str(Path(folder) / "restored.db"))
            with _opened(Database(url, pool_size=1, synchronous="NORMAL")) as fresh:
                self._fill(fresh, progress)
            copy_sqlite(Path(folder) / "restored.db", target)

    def _fill(self, database: Database, progress: Progress) -> None:
        migrations.upgrade(database, self.header.schema)
        migrations.stamp(database, migrations.RESTORING)
        with database.writer.begin() as connection:
            found = {table.name: table for table in tables.tables_of(connection)}
            for table in reversed(found.values()):
                connection.execute(delete(table))
        self._load(database, found, progress)
        with database.reader.connect() as connection:
            self._check(connection, found)
        migrations.stamp(database, self.header.schema)
        migrations.upgrade(database)

    def _load(self, database: Database, found: dict[str, Table], progress: Progress) -> None:
        done, total = 0, sum(self.header.rows.values())
        for name, columns, rows in container.rows(self.path):
            read = tables.reader_of(found[name], columns)
            while batch := [read(row) for row in islice(rows, BATCH)]:
                self._insert(database, found[name], batch)
                done += len(batch)
                progress(done, total)

    def _insert(self, database: Database, table: Table, batch: list[dict[str, Any]]) -> None:
        try:
            with database.writer.begin() as connection:
                connection.execute(table.insert(), batch)
        except IntegrityError as error:
            raise BackupError(
                f"{self.path} has a row of {table.name} that can't be stored: {error.orig}."
            ) from error

    def _check(self, connection: Connection, found: dict[str, Table]) -> None:
        for name, rows in self.header.rows.items():
            if tables.count(connection, found[name]) != rows:
                raise BackupError(f"{self.path} doesn't have all rows of {name}.")


def prepare(path: Path, database: Database, vault: Vault, *, force: bool) -> Restore:
    """Check a backup, and whether it may be put into a database.

    Args:
        vault: of the instance that is to use the database.
        force: what the database holds may go.

    Raises:
        BackupError: the backup is damaged, of a newer version or under another master secret, or
            the database isn't empty.
    """
    header = container.header_of(path)
    container.check(path)
    if header.schema > migrations.head():
        raise BackupError(
            f"{path} has the schema {header.schema} and this version knows {migrations.head()}: "
            "restore it with the version that made it, or a newer one."
        )
    if header.secret_id is not None and header.secret_id not in vault.key_ids:
        raise BackupError(
            f"{path} is under the master secret {header.secret_id} and this instance has "
            f"{vault.current.id}: put the secret.key of the instance that was backed up into "
            "this one's folder (or give MAIMCONFIG_SECRET_KEY), for without it no key is good."
        )
    if not force and _is_used(database):
        raise BackupError("The database isn't empty: give --force to replace all that it holds.")
    return Restore(path, header, database)


def _is_used(database: Database) -> bool:
    if database.is_sqlite and not Path(str(database.url.database)).exists():
        return False
    with database.reader.connect() as connection:
        return tables.is_used(connection, tables.tables_of(connection))


def _drop_all(database: Database) -> None:
    # Each DROP is committed by itself: what is left when it is interrupted isn't the old schema.
    if migrations.current(database) is not None:
        migrations.stamp(database, migrations.RESTORING)
    with database.writer.begin() as connection:
        for table in reversed(tables.tables_of(connection)):
            table.drop(connection)
        if inspect(connection).has_table("alembic_version"):
            connection.execute(text("DELETE FROM alembic_version"))


@contextlib.contextmanager
def _opened(database: Database) -> Iterator[Any]:
    try:
        yield database
    finally:
        database.dispose()
