"""One unit of work per request, command or frame: it commits, rolls back, or runs again."""

from __future__ import annotations

import contextlib
import os
import random
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from sqlalchemy import Connection, orm, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from maimconfig.db.engine import is_sqlite, make_reader, make_writer
from maimconfig.db.kept import KeptConnections
from maimconfig.db.look_up import LookUp, Prepared
from maimconfig.db.slow import Slow
from maimconfig.db.turns import Turns
from maimconfig.db.watch import Watch
from maimconfig.http.errors import AppError, DatabaseUnavailable, NotModified

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

T = TypeVar("T")
R = TypeVar("R")
log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
# A deadlock is told at once, and so is that another node of Galera was first: of 8 threads that
# change one row through two nodes without a pause, 11 % were refused after 3, 0.2 % after 10, none
# of 2400 after 20, which takes 2 s at most.
MAX_DEADLOCKS = 20

# Raised between statements, by those who work on results that were read to their end.
_HARMLESS = (AppError, NotModified)

# MySQL: 1213 deadlock (also a Galera certification conflict), 1205 lock wait timeout, 1317
# interrupted, as whoever's connection is killed in the middle of a statement may be told.
_DEADLOCK = 1213
_MYSQL_RETRY = {1205, _DEADLOCK, 1317}
# MySQL: 1021 disk full, 1114 table full, which is InnoDB's word for it.
_MYSQL_FULL = {1021, 1114}
# MySQL: too many connections, shutdown, server gone, connection lost, can't connect, read-only.
# Galera: 1047 a node without the majority, or that is catching up; 1180 a commit that it could not
# send to the others, whose fate nobody knows: so it isn't run again.
_MYSQL_AWAY = {1040, 1047, 1053, 1180, 1290, 2002, 2003, 2006, 2013}


@dataclass(frozen=True)
class Actor:
    """Who does it, for the audit log.

    Attributes:
        name: `internal` for the unauthenticated control plane, `cli`, or a user's id.
        address: where the request came from, or None.
        request_id: the request's id, or None.
    """

    name: str
    address: str | None = None
    request_id: str | None = None


SYSTEM = Actor("system")


class Session(orm.Session):
    """A SQLAlchemy session that knows the running service and who acts."""

    runtime: Runtime
    actor: Actor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._then: list[Callable[[], None]] = []

    @cached_property
    def of_unit(self) -> Connection:
        """The unit's connection, which stays the same; to ask for it each time costs 20 us."""
        return self.connection()

    def when_committed(self, call: Callable[[], None]) -> None:
        """Have something done after this unit's commit, once: never for an attempt that is rolled
        back or runs again.

        Args:
            call: must be quick; an error in it is logged, and harms nobody.
        """
        self._then.append(call)

    def run_committed(self) -> None:
        """Do what waited for the commit."""
        for call in self._then:
            try:
                call()
            except Exception:  # the commit stands, whatever becomes of what is told about it
                log.exception("when_committed.failed")


class Database:
    """The engines, and the one way to work on them."""

    def __init__(
        self,
        url: URL,
        *,
        pool_size: int,
        synchronous: str,
        slow_ms: int = 0,
        patient: bool = False,
    ) -> None:
        """Make the engines; nothing is connected yet.

        Args:
            url: of SQLite or MySQL.
            pool_size: connections that each engine may hold.
            synchronous: SQLite's durability, NORMAL or FULL.
            slow_ms: statements that take as many milliseconds are logged; 0 logs none.
            patient: MySQL may take hours for a statement, as for all rows of a large table.
        """
        self.url = url
        self.is_sqlite = is_sqlite(url)
        self.reader = make_reader(
            url, pool_size=pool_size, synchronous=synchronous, patient=patient
        )
        self.writer = make_writer(
            url, pool_size=pool_size, synchronous=synchronous, patient=patient
        )
        self.kept = KeptConnections(self.reader)
        self._watch = None if self.is_sqlite else Watch(self.reader, self.writer)
        self._slow = Slow(slow_ms)
        for engine in (self.reader, self.writer):
            self._slow.watch(engine)
        self._prepared: dict[LookUp[Any], Prepared[Any]] = {}
        self._make_lock()
        os.register_at_fork(after_in_child=partial(_forked, weakref.ref(self)))

    def unit_of_work(
        self, work: Callable[[Session], T], *, runtime: Runtime, actor: Actor, write: bool = True
    ) -> T:
        """Run `work` in one transaction; it commits when `work` returns and rolls back when it
        raises.

        On a deadlock, a lock timeout or SQLITE_BUSY the whole of `work` runs again, at most 3
        times (20 of a deadlock), so it must have no effect but on its session.

        Args:
            work: gets the session; whatever it returns is returned.
            runtime: the running service, as `session.runtime`.
            actor: who acts, as `session.actor`.
            write: False for a unit that only reads: each statement sees what is committed.

        Raises:
            DatabaseUnavailable: the database can't be reached, or stayed locked.
        """
        for attempt in range(1, MAX_DEADLOCKS + 1):
            try:
                return self._attempt(work, runtime, actor, write)
            except (DBAPIError, PoolTimeout) as error:
                if attempt >= _most_attempts(error) or not may_run_again(error):
                    raise _translated(error) from error
                log.info("unit_of_work.again", attempt=attempt, reason=_driver_text(error))
                time.sleep(random.uniform(0.005, 0.03) * attempt)
        raise AssertionError("unreachable")

    def _attempt(
        self, work: Callable[[Session], T], runtime: Runtime, actor: Actor, write: bool
    ) -> T:
        with self._session(write) as session:
            session.runtime = runtime
            session.actor = actor
            result = work(session)
            if write:
                _commit(session)
        # The connection and the writer's lock are given back by now.
        session.run_committed()
        return result

    @contextlib.contextmanager
    def _session(self, write: bool) -> Iterator[Session]:
        lock = self._writer_lock if write else contextlib.nullcontext()
        engine = self.writer if write else self.reader
        with lock, Session(engine, autoflush=False, expire_on_commit=False) as session:
            try:
                yield session
            except _HARMLESS:
                raise
            except Exception:
                # A result that was read in part keeps its statement open, and with it SQLite's
                # snapshot, for whoever gets the connection next: nothing resets a reader's.
                if not write:
                    session.invalidate()
                raise

    def find(self, look_up: LookUp[R], **values: Any) -> R | None:
        """The first that a look-up finds, or None; it sees what is committed.

        Args:
            values: of the look-up's bind parameters.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        found = self.find_all(look_up, **values)
        return found[0] if found else None

    def find_all(self, look_up: LookUp[R], **values: Any) -> list[R]:
        """All that a look-up finds; it sees what is committed.

        Raises:
            DatabaseUnavailable: the database can't be reached.
        """
        prepared = self._prepared.get(look_up)
        if prepared is None:
            prepared = Prepared(look_up, self.reader.dialect, self.kept, self._slow)
            self._prepared[look_up] = prepared
        return prepared.run(values)

    def forget_connections(self) -> None:
        """Leave the connections to the process that this one was forked from.

        Two who talk on one connection of MySQL get each other's answers, and SQLite's files must
        not be used by a process that didn't open them.
        """
        self._make_lock()
        self.kept.forget()
        if self._watch is not None:
            self._watch.forget()
        for engine in (self.reader, self.writer):
            engine.dispose(close=False)

    def _make_lock(self) -> None:
        # SQLite's busy handler is unfair; waiting in this process first keeps the longest
        # wait short (1436 to 79 ms with 8 threads).
        self._writer_lock = Turns() if self.is_sqlite else contextlib.nullcontext()

    def watch(self) -> None:
        """Let nobody wait long for a server that hangs, from now on; for a process that serves."""
        if self._watch is not None:
            self._watch.start()

    def answers(self) -> bool:
        """Whether the database answers a query now."""
        try:
            with self.reader.connect() as connection:
                connection.execute(text("SELECT 1"))
        except (DBAPIError, PoolTimeout):
            return False
        return True

    def pools(self) -> dict[str, tuple[int, int]]:
        """Of each pool: connections in use, and the most that it holds."""
        found = {}
        for name, engine in (("reader", self.reader), ("writer", self.writer)):
            pool = engine.pool
            if isinstance(pool, QueuePool):
                found[name] = (pool.checkedout(), pool.size())
        return found

    def dispose(self) -> None:
        """Close all connections."""
        if self._watch is not None:
            self._watch.close()
        self.kept.close()
        self.reader.dispose()
        self.writer.dispose()


def _forked(found: weakref.ref[Database]) -> None:
    database = found()
    if database is not None:
        database.forget_connections()


def _commit(session: Session) -> None:
    session.flush()
    try:
        session.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            # Not run again: the change may be there already.
            raise DatabaseUnavailable(internal=f"commit lost: {_driver_text(error)}") from error
        raise


def _most_attempts(error: Exception) -> int:
    deadlock = isinstance(error, DBAPIError) and _driver_code(error) == _DEADLOCK
    return MAX_DEADLOCKS if deadlock else MAX_ATTEMPTS


def may_run_again(error: Exception) -> bool:
    """Whether the database undid the work for a passing reason, so that it may run again."""
    if not isinstance(error, OperationalError):
        return isinstance(error, DBAPIError) and error.connection_invalidated
    if error.connection_invalidated:
        return True
    return _driver_code(error) in _MYSQL_RETRY or "database is locked" in str(error.orig)


def _translated(error: Exception) -> Exception:
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(internal="connection pool exhausted")
    if isinstance(error, DBAPIError) and (may_run_again(error) or is_outage(error)):
        return DatabaseUnavailable(internal=_driver_text(error))
    return error


def is_outage(error: DBAPIError) -> bool:
    """Whether the database is away, full or read-only, rather than asked something wrong."""
    if error.connection_invalidated or _driver_code(error) in _MYSQL_AWAY | _MYSQL_FULL:
        return True
    # "No space left" is what MySQL's errors 3, 1026 and 1030 quote of the system.
    words = (
        "disk is full",
        "No space left",
        "disk I/O error",
        "unable to open database",
        "readonly database",
    )
    return any(word in str(error.orig) for word in words)


def _driver_code(error: DBAPIError) -> object:
    args = getattr(error.orig, "args", ())
    return args[0] if args else None


def _driver_text(error: Exception) -> str:
    return str(getattr(error, "orig", error))[:300]
