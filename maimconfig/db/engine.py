"""Engines for SQLite and MySQL with the settings that make both behave the same."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

SQLITE_BUSY_MS = 5000
# A page in the middle of a list of 100 000 walks through 2.2 MB of its index; SQLite's default of
# 2 MB makes it read them all from the file, each time.
SQLITE_CACHE_KIB = 4096
LOCK_WAIT_SECONDS = 10
NETWORK_TIMEOUT_SECONDS = 30
# Of who counts all rows of a large table, or makes an index of it.
PATIENT_SECONDS = 12 * 3600
POOL_WAIT_SECONDS = 10

_MYSQL_SESSION = (
    "SET SESSION time_zone = '+00:00', "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
    "sql_mode = 'STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
)
# Galera: before the first statement of a transaction a node applies all that was committed
# anywhere until then (1 reads, 2 UPDATE and DELETE, 4 INSERT). Else what is revoked on one node is
# good on another for a moment.
_SYNC_WAIT = "SET SESSION wsrep_sync_wait = 7"


def make_reader(url: URL, *, pool_size: int, synchronous: str, patient: bool = False) -> Engine:
    """An engine whose statements each are their own transaction: no BEGIN, no COMMIT, no ping.

    A reader that stays in a transaction holds back SQLite's WAL checkpoint; here none can.
    """
    return _make(
        url,
        pool_size=pool_size,
        synchronous=synchronous,
        patient=patient,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
    )


def make_writer(url: URL, *, pool_size: int, synchronous: str, patient: bool = False) -> Engine:
    """An engine for units that may write: BEGIN IMMEDIATE on SQLite, READ COMMITTED on MySQL."""
    if is_sqlite(url):
        engine = _make(url, pool_size=pool_size, synchronous=synchronous)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return _make(
        url,
        pool_size=pool_size,
        synchronous=synchronous,
        patient=patient,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
    )


def is_sqlite(url: URL) -> bool:
    """Whether the URL is SQLite's."""
    return url.get_backend_name() == "sqlite"


def _make(
    url: URL, *, pool_size: int, synchronous: str, patient: bool = False, **options: Any
) -> Engine:
    engine = create_engine(
        url,
        connect_args=_connect_args(url, patient),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        hide_parameters=True,  # they end up in logs, and may be a password's hash
        **options,
    )
    if is_sqlite(url):
        event.listen(engine, "connect", _sqlite_setup(synchronous))
    else:
        event.listen(engine, "connect", _mysql_setup)
    return engine


def _connect_args(url: URL, patient: bool) -> dict[str, Any]:
    if is_sqlite(url):
        # isolation_level None: the driver begins nothing by itself, the `begin` event does.
        return {"isolation_level": None, "timeout": SQLITE_BUSY_MS / 1000}
    seconds = PATIENT_SECONDS if patient else NETWORK_TIMEOUT_SECONDS
    return {
        "charset": "utf8mb4",
        "connect_timeout": 5,
        "read_timeout": seconds,
        "write_timeout": seconds,
    }


def _begin_immediate(connection: Any) -> None:
    # A read that turns to writing after somebody else's commit fails at once with
    # SQLITE_BUSY_SNAPSHOT, which busy_timeout does not cover: so the lock is taken first.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sqlite_setup(synchronous: str) -> Any:
    def setup(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")

    return setup


def _mysql_setup(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MYSQL_SESSION)
        # Not asked by its name: MySQL has no such variable.
        cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
        if cursor.fetchone() == ("wsrep_on", "ON"):
            cursor.execute(_SYNC_WAIT)
