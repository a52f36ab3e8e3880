"""The database is stopped, killed or hangs, and comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pymysql
import pytest

from tests.faults.conftest import FULL, Start
from tests.faults.load import Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost, rows
from tests.servers.mariadb import MariaDB, connect
from tests.servers.private import ServerUnavailable
from tests.servers.service import LiveService

# To be told to stop is the mildest of the three: it is tried with the full dose alone.
WAYS = [*(["stop"] if FULL else []), "kill", "pause"]
NOTICED = 6.0  # s until everybody is told that the database hangs
BUSY = 6.0  # s more for a machine that is busy with other tests
PLACES = 2  # for replies
BACK = 3.0  # s from its return until all is well again


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server that may be stopped."""
    try:
        server = MariaDB()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with contextlib.closing(server):
        yield server


@pytest.fixture(scope="module")
def url(mariadb: MariaDB) -> str:
    """A database of it."""
    with connect(mariadb.url) as connection:
        connection.cursor().execute("CREATE DATABASE faults")
    return f"{mariadb.url}faults"


@pytest.fixture(scope="module")
def service(start: Start, url: str) -> LiveService:
    """One service for all faults, which is never restarted. It has few threads, as under a larger
    load: none may be held for long.
    """
    few = {"MAIMCONFIG_THREADS": "3", "MAIMCONFIG_CHAT_REPLIES": str(PLACES)}
    return start(url, "--auto-migrate", env=few)


@pytest.mark.parametrize("way", WAYS)
def test_away(service: LiveService, mariadb: MariaDB, url: str, outage: float, way: str) -> None:
    """While the database is stopped, killed or hangs, callers are told so within seconds, the
    process lives, and all goes on by itself when it is back: nothing acknowledged is lost.
    """
    with Load(service, World.make(service), each=PLACES + 1) as load:
        load.settle()
        load.mark("broken")
        getattr(mariadb, way)()
        load.fails("ready")
        load.waits(outage)
        if way == "pause":
            mariadb.resume()
        else:
            mariadb.start()
        load.mark("mended")
        load.all_answer(BACK + BUSY)
    load.report(f"database {way}, {outage:.0f} s")
    load.refused_well("SYS_002", "SYS_005")
    assert load.codes("ready") == {"the database does not answer"}
    assert load.statuses("live") == {200}
    assert load.noticed() < NOTICED + BUSY
    assert load.longest() < NOTICED + BUSY
    assert max(load.recovery().values()) < BACK + BUSY
    assert '"event":"unexpected"' not in service.log
    nothing_is_lost(load, url)
    billing_is_right(load, url)


def test_connections_are_killed(service: LiveService, mariadb: MariaDB, url: str) -> None:
    """When all connections of the database are killed, again and again, callers hardly notice: a
    unit runs again, or is told as 503.
    """
    with Load(service, World.make(service), each=PLACES) as load:
        load.settle()
        load.mark("broken")
        for _ in range(10):
            kill_all(mariadb.url)
            load.waits(0.2)
        load.mark("mended")
        load.all_answer(BACK + BUSY)
    load.report("10 times all connections were killed")
    load.refused_well()
    failed = [answer for answer in load.answers if not answer.good]
    assert len(failed) < len(load.answers) / 10
    nothing_is_lost(load, url)
    billing_is_right(load, url)


def kill_all(server_url: str) -> None:
    """Kill all connections but our own."""
    found = rows(server_url, "SELECT id FROM information_schema.processlist WHERE db = 'faults'")
    with connect(server_url) as connection:
        for (number,) in found:
            with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself
                connection.cursor().execute(f"KILL {number}")
