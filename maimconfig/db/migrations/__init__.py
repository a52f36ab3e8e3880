"""Alembic migrations in the package: from empty, resumable, one runner at a time.

MySQL commits each DDL statement by itself, so a migration that stopped half-way is run again
from its beginning: every step asks whether it is done already (`if_not_exists`).
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect, text

from maimconfig.db.engine import make_writer

if TYPE_CHECKING:
    from alembic.config import Config

    from maimconfig.db.session import Database

HERE = Path(__file__).parent
LOCK_NAME = "maimconfig.migrations"
LOCK_WAIT_SECONDS = 300
# In place of a revision while a backup is restored; no service works on it, or migrates it.
RESTORING = "restoring"


def head() -> str:
    """The newest revision in the package; a revision is the number its file begins with."""
    return max(file.name[:4] for file in (HERE / "versions").glob("[0-9]*.py"))


def current(database: Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    with database.reader.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def matches(database: Database) -> bool:
    """Whether the database is at the package's newest revision."""
    return current(database) == head()


def upgrade(database: Database, revision: str | None = None) -> None:
    """Bring the database to a revision; other runners wait meanwhile.

    Args:
        revision: the newest when None.
    """
    wanted = revision or head()
    if current(database) == wanted:
        return
    with _only_runner(database):
        if current(database) == wanted:
            return
        from alembic import command

        with _patient(database) as engine, engine.begin() as connection:
            command.upgrade(_config(connection), wanted)


def may_begin(database: Database) -> bool:
    """Whether a process may migrate without being told to by a person.

    The lock that lets one runner through is of one server: the nodes of a Galera cluster know
    nothing of each other's. So of its nodes one is chosen, the first of those that are there.
    """
    if database.is_sqlite:
        return True
    with database.reader.connect() as connection:
        wsrep = connection.execute(text("SHOW VARIABLES LIKE 'wsrep_on'")).first()
        if wsrep is None or wsrep[1] != "ON":
            return True
        place = connection.execute(text("SHOW STATUS LIKE 'wsrep_local_index'")).one()
        return int(place[1]) == 0


def stamp(database: Database, revision: str) -> None:
    """Say which revision the tables are at, whatever they were at before.

    Args:
        revision: RESTORING while the rows are replaced.
    """
    with database.writer.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        connection.execute(
            text("INSERT INTO alembic_version (version_num) VALUES (:revision)"),
            {"revision": revision},
        )


def differences(database: Database) -> list[Any]:
    """What alembic finds different between the models and the database."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from maimconfig.db.all_models import metadata

    with database.reader.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, metadata)
        return found


@contextlib.contextmanager
def _patient(database: Database) -> Iterator[Engine]:
    """What changes of tables are made by: one may take longer than any request."""
    if database.is_sqlite:
        yield database.writer
        return
    engine = make_writer(database.url, pool_size=1, synchronous="FULL", patient=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _only_runner(database: Database) -> Iterator[None]:
    if database.is_sqlite:
        with Path(f"{database.url.database}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    # A lock of MySQL belongs to its connection, so it gets one of its own.
    with database.reader.connect() as connection:
        _wait_for_lock(connection)
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK_NAME})


def _wait_for_lock(connection: Connection) -> None:
    # In short turns, since one long wait would be ended by the network's time-out.
    query = text("SELECT GET_LOCK(:name, 1)")
    for _ in range(LOCK_WAIT_SECONDS):
        if connection.scalar(query, {"name": LOCK_NAME}) == 1:
            return
    raise TimeoutError(f"another process has been migrating for {LOCK_WAIT_SECONDS} s")
