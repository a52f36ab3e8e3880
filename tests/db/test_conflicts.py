"""A unit of work when others are in the way, and when the connection goes away under it."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from maimconfig.db import engine
from maimconfig.db.session import MAX_ATTEMPTS, MAX_DEADLOCKS, Session
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.runtime import Runtime
from maimconfig.tenants.models import Tenant
from tests.db.opening import opened
from tests.servers.mariadb import connect, fresh_database

WAIT_SECONDS = 30


def add(session: Session, name: str) -> None:
    """Make a tenant, in the database already but not committed."""
    session.add(Tenant(id=f"tenant_{name}", tenant_name=name, tenant_type="personal"))
    session.flush()


def count(runtime: Runtime, name: str) -> int | None:
    """How many tenants have this name."""
    query = select(func.count()).select_from(Tenant).where(Tenant.tenant_name == name)
    return runtime.read(lambda session: session.scalar(query))


# --- SQLite: one writer at a time ----------------------------------------------------------------


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A service on a SQLite file that waits for other processes 20 ms only."""
    with opened(f"sqlite:///{tmp_path / 'maimconfig.db'}", tmp_path / "instance") as runtime:
        runtime.database.dispose()
        monkeypatch.setattr(engine, "SQLITE_BUSY_MS", 20)
        yield runtime


@pytest.fixture
def blocker(sqlite: Runtime) -> Iterator[sqlite3.Connection]:
    """Another process, as it were, that writes."""
    file = str(sqlite.database.url.database)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_busy_and_then_free(sqlite: Runtime, blocker: sqlite3.Connection) -> None:
    """A unit that meets another process's lock runs again, and succeeds when the lock is gone."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            blocker.execute("ROLLBACK")
        add(session, "late")

    sqlite.write(work)
    assert len(attempts) == 2
    assert count(sqlite, "late") == 1


def test_busy_to_the_end(sqlite: Runtime, blocker: sqlite3.Connection) -> None:
    """A lock that stays is 503 after three attempts, readers go on, and writers do afterwards."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "late")

    with pytest.raises(DatabaseUnavailable):
        sqlite.write(work)
    assert len(attempts) == MAX_ATTEMPTS
    assert count(sqlite, "late") == 0
    blocker.execute("ROLLBACK")
    sqlite.write(work)
    assert count(sqlite, "late") == 1


def test_writers_of_one_process_wait(sqlite: Runtime) -> None:
    """Writers of one process wait for each other longer than SQLite's own patience."""
    inside, over = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        add(session, "slow")
        inside.set()
        over.wait(WAIT_SECONDS)

    first = threading.Thread(target=sqlite.write, args=(slow,))
    first.start()
    inside.wait(WAIT_SECONDS)
    second = threading.Thread(target=sqlite.write, args=(lambda session: add(session, "quick"),))
    second.start()
    second.join(0.2)  # ten times what SQLite would wait
    assert second.is_alive()
    over.set()
    first.join(WAIT_SECONDS)
    second.join(WAIT_SECONDS)
    assert (count(sqlite, "slow"), count(sqlite, "quick")) == (1, 1)


# --- MySQL: locks and lost connections -----------------------------------------------------------


@pytest.fixture(scope="module")
def mysql(mysql_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A service on MySQL."""
    with (
        fresh_database(mysql_server_url) as url,
        opened(url, tmp_path_factory.mktemp("conflicts")) as runtime,
    ):
        yield runtime


@pytest.fixture
def kill(mysql_server_url: str) -> Callable[[Session], None]:
    """Ends a session's connection at the server, as an operator or a failing network does."""

    def end(session: Session) -> None:
        own = session.scalar(text("SELECT CONNECTION_ID()"))
        with contextlib.closing(connect(mysql_server_url)) as other:
            other.cursor().execute(f"KILL {own}")

    return end


def test_killed_while_writing(mysql: Runtime, kill: Callable[[Session], None]) -> None:
    """A write whose connection is lost before its commit runs again, and is done once."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "again")
        if len(attempts) == 1:
            kill(session)
        session.execute(update(Tenant).values(description="x"))

    mysql.write(work)
    assert len(attempts) == 2
    assert count(mysql, "again") == 1


def test_killed_before_the_commit(mysql: Runtime, kill: Callable[[Session], None]) -> None:
    """A commit whose connection is lost isn't tried again, for it may have landed: 503."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "unsure")
        kill(session)

    with pytest.raises(DatabaseUnavailable):
        mysql.write(work)
    assert len(attempts) == 1
    assert count(mysql, "unsure") == 0


def test_killed_while_reading(mysql: Runtime, kill: Callable[[Session], None]) -> None:
    """A read whose connection is lost half-way runs again."""
    attempts = []

    def work(session: Session) -> int | None:
        attempts.append(1)
        if len(attempts) == 1:
            kill(session)
        return session.scalar(select(func.count()).select_from(Tenant))

    assert mysql.read(work) is not None
    assert len(attempts) == 2


def test_killed_again_and_again(mysql: Runtime, kill: Callable[[Session], None]) -> None:
    """A connection that is lost each time is 503 after three attempts."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        kill(session)
        session.execute(select(Tenant.id))

    with pytest.raises(DatabaseUnavailable):
        mysql.read(work)
    assert len(attempts) == MAX_ATTEMPTS


def test_deadlock_each_time(mysql: Runtime) -> None:
    """A unit that is a deadlock's victim each time is 503 after ten attempts, nothing done."""
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        add(session, "victim")
        # What a deadlock's victim gets, from the server itself.
        session.execute(text("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"))

    with pytest.raises(DatabaseUnavailable):
        mysql.write(work)
    assert len(attempts) == MAX_DEADLOCKS
    assert count(mysql, "victim") == 0


def test_lock_wait_timeout(mysql: Runtime) -> None:
    """A lock that isn't given in time undoes all of the unit, which then runs again."""
    mysql.write(lambda session: add(session, "wanted"))
    held, free = threading.Event(), threading.Event()

    def hold(session: Session) -> None:
        session.execute(update(Tenant).where(Tenant.tenant_name == "wanted").values(revision=2))
        held.set()
        free.wait(WAIT_SECONDS)

    holder = threading.Thread(target=mysql.write, args=(hold,))
    holder.start()
    held.wait(WAIT_SECONDS)
    attempts = []

    def work(session: Session) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            free.set()
            holder.join(WAIT_SECONDS)
        session.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
        # MySQL itself would undo only the statement that waited, and keep this one.
        add(session, f"attempt {len(attempts)}")
        session.execute(update(Tenant).where(Tenant.tenant_name == "wanted").values(revision=3))

    mysql.write(work)
    assert len(attempts) == 2
    assert (count(mysql, "attempt 1"), count(mysql, "attempt 2")) == (0, 1)


def test_no_savepoints() -> None:
    """No unit uses a savepoint: a deadlock within one is reported as a savepoint that is missing,
    which hides that the unit may run again. The import of old services' rows is begun again by
    hand."""
    package = Path(engine.__file__).parent.parent
    using = [file.name for file in package.rglob("*.py") if "begin_nested" in file.read_text()]
    assert using == ["legacy.py"]


# --- the pool ------------------------------------------------------------------------------------


def test_exhausted(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every connection is in use for too long the answer is 503, and none is lost by it."""
    monkeypatch.setattr(engine, "POOL_WAIT_SECONDS", 0.05)
    with opened(database_url, tmp_path / "instance", pool_size=2) as runtime:
        with runtime.database.reader.connect(), runtime.database.reader.connect():
            with pytest.raises(DatabaseUnavailable):
                count(runtime, "x")
            assert not runtime.database.answers()
        assert count(runtime, "x") == 0
        assert runtime.database.answers()
