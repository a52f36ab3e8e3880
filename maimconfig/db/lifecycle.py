"""What happens between a process and its database at start: files, schema, master secret."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Connection, String, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db import migrations
from maimconfig.db.base import MYSQL_TABLE, Base
from maimconfig.db.session import Database, may_run_again
from maimconfig.security.vault import Vault

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The service can't start; the text is one sentence that says why and what to do."""


class SystemState(Base):
    """What the database knows of itself: the id of the master secret it was set up with."""

    __tablename__ = "system_state"
    __table_args__ = MYSQL_TABLE

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


SECRET_ID = "secret_id"


def prepare(database: Database, vault: Vault, *, auto_migrate: bool, by_hand: bool = False) -> None:
    """Bring the database to where the service can use it.

    An embedded SQLite file is made and upgraded; a MySQL database only when told to. When it
    can't be reached, or its schema is another one, the service starts all the same and says
    that it isn't ready.

    Args:
        auto_migrate: upgrade MySQL too.
        by_hand: upgrade a Galera cluster by way of whichever node this is, since a person sees to
            it that nobody else does.

    Raises:
        StartError: the database is under another master secret or of a newer version, or the
            file can't be used.
    """
    try:
        if database.is_sqlite:
            prepare_file(database)
        if database.is_sqlite or auto_migrate:
            _refuse_newer(database)
            if by_hand or migrations.may_begin(database):
                migrations.upgrade(database)
        if migrations.matches(database):
            verify_secret(database, vault)
    except (DBAPIError, OSError) as error:
        if database.is_sqlite:
            raise StartError(
                f"The SQLite file {database.url.database} can't be used: "
                f"{getattr(error, 'orig', error)}."
            ) from error
        log.warning("database.unreachable", reason=str(getattr(error, "orig", error))[:200])


def verify_secret(database: Database, vault: Vault) -> None:
    """Refuse a master secret that the stored keys are not under.

    Raises:
        StartError: this process was given another secret than the database was set up with.
    """
    stored = _secret_id_of(database)
    if stored is None:
        _store_secret_id(database, vault.current.id)
        stored = _secret_id_of(database)
    if stored not in vault.key_ids and not (vault.reload() and stored in vault.key_ids):
        raise StartError(
            f"The database was set up with another master secret (id {stored}, this one is "
            f"{vault.current.id}); give this process the same MAIMCONFIG_SECRET_KEY or the "
            "secret.key file of the instance that it was set up with."
        )


def prepare_file(database: Database) -> None:
    """Make an embedded SQLite file, which only its owner may read, unless it is there."""
    file = Path(str(database.url.database))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite would make it 0644; its WAL takes the mode of the file.
    file.touch(mode=0o600, exist_ok=True)


def _refuse_newer(database: Database) -> None:
    revision = migrations.current(database)
    if revision == migrations.RESTORING:
        raise StartError(
            "A backup was being restored into the database: run `maimconfig restore` again, with "
            "--force."
        )
    if revision is not None and revision > migrations.head():
        raise StartError(
            f"The database's schema is {revision} and this version's is {migrations.head()}: "
            "it belongs to a newer version of MaimConfig, so run that."
        )


def stored_secret_id(connection: Connection) -> str | None:
    """The id of the master secret that a database was set up with; None before its first start."""
    return connection.scalar(select(SystemState.value).where(SystemState.name == SECRET_ID))


def _secret_id_of(database: Database) -> str | None:
    with database.reader.connect() as connection:
        return stored_secret_id(connection)


def _store_secret_id(database: Database, key_id: str) -> None:
    try:
        with database.writer.begin() as connection:
            connection.execute(insert(SystemState).values(name=SECRET_ID, value=key_id))
    except DBAPIError as error:
        # Of two nodes of a Galera cluster the second hears of it at its commit, as of a deadlock.
        if not isinstance(error, IntegrityError) and not may_run_again(error):
            raise
        log.info("secret_id.stored_by_another_process")
