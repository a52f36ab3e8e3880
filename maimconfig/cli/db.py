"""`maimconfig db upgrade|current|check`"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.exc import DBAPIError

from maimconfig import logs
from maimconfig.db import lifecycle, migrations
from maimconfig.db.session import Database
from maimconfig.runtime import open_vault
from maimconfig.settings import Settings, load_settings

T = TypeVar("T")


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this version's; may be run again, and by several at once.

    Of a Galera cluster by one at a time: its nodes know nothing of each other's locks.
    """
    settings, database = open_database()
    lifecycle.prepare(database, open_vault(settings), auto_migrate=True, by_hand=True)
    _say_current(database)


@db.command()
def current() -> None:
    """Show the schema's revision, and the newest there is."""
    _, database = open_existing()
    _say_current(database)


@db.command()
def check() -> None:
    """Compare the schema with this version's models; exits 1 when they differ."""
    _, database = open_existing()
    found = reached(lambda: migrations.differences(database))
    for difference in found:
        click.echo(str(difference))
    click.echo("The schema differs." if found else "The schema is as it should be.")
    sys.exit(1 if found else 0)


def open_database() -> tuple[Settings, Database]:
    """The settings, and their database as it is: nothing is migrated."""
    settings = load_settings()
    logs.configure(settings)
    return settings, Database(
        settings.database_url,
        pool_size=2,
        synchronous=settings.sqlite_synchronous,
        patient=True,
    )


def open_existing() -> tuple[Settings, Database]:
    """As `open_database`, for a command that makes no database.

    Raises:
        StartError: the SQLite file isn't there.
    """
    settings, database = open_database()
    # To look at a SQLite file that isn't there would make it, readable for everybody.
    if database.is_sqlite and not Path(str(database.url.database)).exists():
        raise lifecycle.StartError(
            f"There is no SQLite file {database.url.database}; `maimconfig db upgrade` makes it."
        )
    return settings, database


def _say_current(database: Database) -> None:
    revision = reached(lambda: migrations.current(database))
    click.echo(f"{revision or 'empty'} (newest: {migrations.head()})")


def require_schema(database: Database) -> None:
    """Refuse to work on a database whose schema isn't this version's.

    Raises:
        StartError: it's another one, or the database can't be reached.
    """
    if not reached(lambda: migrations.matches(database)):
        raise lifecycle.StartError(
            "The schema is not this version's: run `maimconfig db upgrade` first."
        )


def reached(ask: Callable[[], T]) -> T:
    """What `ask` returns.

    Raises:
        StartError: the database can't be reached, or refused what it was asked.
    """
    try:
        return ask()
    except DBAPIError as error:
        raise lifecycle.StartError(f"The database can't be reached: {error.orig}.") from error
