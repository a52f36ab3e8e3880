"""The database: its version, what it is set to, its schema, its secret, its clock."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from maimconfig import clock
from maimconfig.db import migrations
from maimconfig.db.lifecycle import stored_secret_id
from maimconfig.db.session import Database
from maimconfig.doctor.finding import Finding, error, ok, warning
from maimconfig.security.secret_file import SecretFile
from maimconfig.security.vault import Vault
from maimconfig.settings import Settings

# The oldest that the test suite has seen, or whose series is still maintained.
_OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0), "SQLite": (3, 35)}
_COLLATION = "utf8mb4_bin"
_SECONDS_OFF = 2


def look(settings: Settings) -> Iterator[Finding]:
    """Look at the database of the settings; nothing is made or changed."""
    database = Database(settings.database_url, pool_size=2, synchronous=settings.sqlite_synchronous)
    file = Path(str(database.url.database))
    if database.is_sqlite and not file.exists():
        yield warning("database", f"there is no {file}", "The service makes it at its start.")
        return
    try:
        with database.reader.connect() as connection:
            yield _version(database, connection)
            yield from () if database.is_sqlite else _mysql(connection)
            yield from _contents(settings, database, connection)
    except DBAPIError as reason:
        yield error(
            "database",
            f"it doesn't answer: {reason.orig}",
            "Start it, or correct DATABASE_URL, and let the account reach it.",
        )
    finally:
        database.dispose()


def _version(database: Database, connection: Connection) -> Finding:
    query = "SELECT sqlite_version()" if database.is_sqlite else "SELECT VERSION()"
    told = str(connection.scalar(text(query)))
    name = "SQLite" if database.is_sqlite else "MariaDB" if "MariaDB" in told else "MySQL"
    found = tuple(int(part) for part in re.findall(r"\d+", told)[:2])
    if found < _OLDEST[name]:
        oldest = ".".join(str(part) for part in _OLDEST[name])
        return warning("database", f"{name} {told}", f"Upgrade it to {oldest} or newer.")
    return ok("database", f"{name} {told}")


def _mysql(connection: Connection) -> Iterator[Finding]:
    sql_mode = str(connection.scalar(text("SELECT @@SESSION.sql_mode")))
    if "STRICT_TRANS_TABLES" not in sql_mode:
        yield error(
            "sql_mode",
            f"a connection gets {sql_mode or 'none'}",
            "Let nothing between here and the database (a proxy, init_connect) change sql_mode.",
        )
    else:
        yield ok("sql_mode", "strict")
    wrong = connection.scalars(
        text(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
            "AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version' "
            "AND table_collation <> :collation ORDER BY table_name"
        ),
        {"collation": _COLLATION},
    ).all()
    if wrong:
        yield error(
            "collation",
            f"{', '.join(wrong)} differ from {_COLLATION}",
            f"Run `ALTER TABLE {wrong[0]} CONVERT TO CHARACTER SET utf8mb4 COLLATE {_COLLATION}`, "
            "and so for each.",
        )
    else:
        yield ok("collation", _COLLATION)
    yield _clock(connection)


def _clock(connection: Connection) -> Finding:
    theirs: datetime = connection.scalar(text("SELECT UTC_TIMESTAMP(6)"))
    off = abs((clock.now() - theirs.replace(tzinfo=timezone.utc)).total_seconds())
    if off > _SECONDS_OFF:
        return warning(
            "clock",
            f"the database's differs from this machine's by {off:.0f} s",
            "Let both follow a time server (chrony, systemd-timesyncd).",
        )
    return ok("clock", f"the database's differs by {off * 1000:.0f} ms")


def _contents(settings: Settings, database: Database, connection: Connection) -> Iterator[Finding]:
    revision, head = migrations.current(database), migrations.head()
    if revision == head:
        yield ok("schema", head)
    elif revision == migrations.RESTORING:
        yield error(
            "schema", "a restore was interrupted", "Run `maimconfig restore FILE --force` again."
        )
    elif revision is not None and revision > head:
        yield error("schema", f"it is {revision}, newer than {head}", "Run the newer version.")
    else:
        yield error("schema", f"it is {revision or 'empty'}", "Run `maimconfig db upgrade`.")
    if revision is not None:
        yield _secret(settings, stored_secret_id(connection))


def _secret(settings: Settings, stored: str | None) -> Finding:
    file = SecretFile(settings.instance / "secret.key")
    given = [settings.secret_key, *settings.previous_secret_keys] if settings.secret_key else []
    if not given:
        with contextlib.suppress(OSError, UnicodeError):  # the files are looked at by themselves
            given = list(file.read())
    known = Vault([secret for secret in given if secret]).key_ids if given else ()
    if stored is None or stored in known:
        return ok("secret", f"the database is under {stored or 'none yet'}")
    return error(
        "secret",
        f"the database is under {stored}, and this instance knows {', '.join(known) or 'none'}",
        "Give this instance the secret.key (or MAIMCONFIG_SECRET_KEY) that belongs to it.",
    )
