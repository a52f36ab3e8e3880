"""A unit of work commits, rolls back, or runs again."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import OperationalError

from maimconfig.db.session import Session
from maimconfig.http.errors import TenantNotFound
from maimconfig.runtime import Runtime
from maimconfig.tenants.models import Tenant


def _tenant(session: Session, name: str) -> Tenant:
    tenant = Tenant(id=f"tenant_{name}", tenant_name=name, tenant_type="personal")
    session.add(tenant)
    return tenant


def _names(runtime: Runtime) -> set[str]:
    return set(runtime.read(lambda session: session.scalars(select(Tenant.tenant_name)).all()))


def test_commits(runtime: Runtime, migrated_database_url: str) -> None:
    """What a unit did is there for the next one."""
    runtime.write(lambda session: _tenant(session, "kept"))
    assert _names(runtime) == {"kept"}


def test_rolls_back(runtime: Runtime, migrated_database_url: str) -> None:
    """A unit that raises leaves nothing, not even what it had flushed."""

    def work(session: Session) -> None:
        _tenant(session, "lost")
        session.flush()
        raise TenantNotFound

    with pytest.raises(TenantNotFound):
        runtime.write(work)
    assert _names(runtime) == set()


def test_when_committed(runtime: Runtime, migrated_database_url: str) -> None:
    """What waits for the commit is done once, in order, after it; a failure in it harms nobody."""
    seen: list[Any] = []

    def work(session: Session) -> None:
        _tenant(session, "kept")
        session.when_committed(lambda: seen.append(_names(runtime)))
        session.when_committed(lambda: seen.append(1 / 0))
        session.when_committed(lambda: seen.append("last"))

    runtime.write(work)
    assert seen == [{"kept"}, "last"]


def test_never_committed(runtime: Runtime, migrated_database_url: str) -> None:
    """Nothing is done for a unit that is rolled back, nor for an attempt that runs again."""
    seen: list[int] = []
    attempts: list[int] = []

    def fail(session: Session) -> None:
        session.when_committed(lambda: seen.append(0))
        raise TenantNotFound

    with pytest.raises(TenantNotFound):
        runtime.write(fail)

    def work(session: Session) -> None:
        attempts.append(len(attempts) + 1)
        session.when_committed(lambda number=attempts[-1]: seen.append(number))
        if len(attempts) < 3:
            raise OperationalError("", {}, Exception("database is locked"))

    runtime.write(work)
    assert (attempts, seen) == ([1, 2, 3], [3])


def test_a_failed_reader_holds_no_snapshot(runtime: Runtime, migrated_database_url: str) -> None:
    """A unit that fails in the midst of a result leaves no old snapshot to those after it."""
    held: list[Any] = []

    def fail(session: Session) -> None:
        numbers = text("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
        held.append(session.execute(numbers))
        assert held[0].fetchone() == (1,)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        runtime.read(fail)
    runtime.write(lambda session: _tenant(session, "new"))
    for _ in range(runtime.settings.pool_size):
        assert _names(runtime) == {"new"}


def test_reader_sees_every_commit(runtime: Runtime, migrated_database_url: str) -> None:
    """Two statements of one reading unit see what was committed in between."""

    def work(session: Session) -> tuple[int, int]:
        before = len(session.scalars(select(Tenant.id)).all())
        thread = threading.Thread(target=runtime.write, args=(lambda s: _tenant(s, "new"),))
        thread.start()
        thread.join()
        return before, len(session.scalars(select(Tenant.id)).all())

    assert runtime.read(work) == (0, 1)


def test_deadlock_runs_again(runtime: Runtime, migrated_database_url: str) -> None:
    """Two units that lock the same rows in opposite order both succeed."""
    runtime.write(lambda session: [_tenant(session, name) for name in ("a", "b")])
    # Only the first attempts wait for each other: the one that runs again comes alone.
    both_hold_one = threading.Barrier(2)
    attempts: list[str] = []

    def crossing(first: str, second: str) -> Any:
        met = False

        def work(session: Session) -> None:
            nonlocal met
            attempts.append(first)
            _describe(session, first)
            if not met and not runtime.database.is_sqlite:
                met = True
                both_hold_one.wait(30)
            _describe(session, second)

        return work

    threads = [
        threading.Thread(target=runtime.write, args=(crossing(*order),)) for order in ("ab", "ba")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    described = runtime.read(lambda session: session.scalars(select(Tenant.description)).all())
    # On SQLite one writer waits for the other; on MySQL one is the victim and runs again.
    assert len(attempts) == (2 if runtime.database.is_sqlite else 3)
    assert len(set(described)) == 1


def _describe(session: Session, name: str) -> None:
    session.execute(
        update(Tenant)
        .where(Tenant.tenant_name == name)
        .values(description=threading.current_thread().name)
    )


def test_killed_connections(runtime: Runtime, migrated_database_url: str) -> None:
    """Reads and writes survive that the server closed their pooled connections."""
    runtime.write(lambda session: _tenant(session, "before"))
    if not runtime.database.is_sqlite:
        _kill_all_connections(runtime)
    assert _names(runtime) == {"before"}
    runtime.write(lambda session: session.execute(delete(Tenant)))
    assert _names(runtime) == set()


def _kill_all_connections(runtime: Runtime) -> None:
    schema = runtime.database.url.database
    with runtime.database.writer.connect() as connection:
        own = connection.scalar(text("SELECT CONNECTION_ID()"))
        others = connection.scalars(
            text("SELECT id FROM information_schema.processlist WHERE db = :db AND id <> :own"),
            {"db": schema, "own": own},
        ).all()
        assert others
        for other in others:
            connection.execute(text(f"KILL {int(other)}"))


FORK = """
import os, sys
from sqlalchemy import make_url, text
from maimconfig.db.session import Database

database = Database(make_url(sys.argv[1]), pool_size=2, synchronous="NORMAL")
engines = (database.reader, database.writer)

def ask():
    for engine in engines:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

def idle():
    return [engine.pool.checkedin() for engine in engines]

ask()
print(idle(), flush=True)
child = os.fork()
if child == 0:
    print(idle(), flush=True)
    ask()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
ask()
print(idle(), flush=True)
"""


def test_fork(migrated_database_url: str) -> None:
    """A process that is forked off leaves the connections to the one that made them."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, migrated_database_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["[1, 1]", "[0, 0]", "[1, 1]"]
