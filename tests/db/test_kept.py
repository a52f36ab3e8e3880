"""Connections that are kept outside the pool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from maimconfig.db.kept import KeptConnections
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.runtime import Runtime


@pytest.fixture
def kept(runtime: Runtime) -> Iterator[KeptConnections]:
    """Connections to a migrated database."""
    connections = KeptConnections(runtime.database.reader)
    yield connections
    connections.close()


def asked(connection: Any) -> Any:
    """What the database answers."""
    cursor = connection.cursor()
    cursor.execute("SELECT 41 + 1")
    (found,) = cursor.fetchall()
    cursor.close()
    return found[0]


def test_last_first(kept: KeptConnections) -> None:
    """The connection that was given back last is the next one, and as many are made as are used."""
    one, two = kept.take(), kept.take()
    assert one is not two
    kept.give(one)
    kept.give(two)
    assert kept.take() is two
    assert kept.take() is one


def test_closed(kept: KeptConnections) -> None:
    """Those that were closed aren't given out again."""
    old = kept.take()
    kept.give(old)
    kept.close()
    fresh = kept.take()
    assert fresh is not old
    assert asked(fresh) == 42
    kept.give(fresh)


def test_outside_the_pool(runtime: Runtime, kept: KeptConnections) -> None:
    """However many are taken, the pool has all of its places."""
    taken = [kept.take() for _ in range(runtime.settings.pool_size + 1)]
    with runtime.database.reader.connect():
        pass
    for connection in taken:
        kept.give(connection)


def test_fork(runtime: Runtime) -> None:
    """A child of a fork connects by itself, and leaves its parent's connections alone."""
    kept = runtime.database.kept
    parents = kept.take()
    kept.give(parents)
    child = os.fork()
    if child == 0:
        try:
            mine = kept.take()
            os._exit(0 if mine is not parents and asked(mine) == 42 else 1)
        finally:  # else it would go on with the tests
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.take() is parents
    assert asked(parents) == 42
    kept.give(parents)


def test_unreachable(runtime: Runtime, kept: KeptConnections, monkeypatch: Any) -> None:
    """Without a database the error is the one that callers are told."""
    away = KeptConnections(runtime.database.reader)

    def refused(*_: Any, **__: Any) -> Any:
        raise runtime.database.reader.dialect.loaded_dbapi.OperationalError("away")

    monkeypatch.setattr(runtime.database.reader, "raw_connection", refused)
    with pytest.raises(DatabaseUnavailable):
        away.take()
