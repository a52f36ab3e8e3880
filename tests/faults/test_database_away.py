"""The database is stopped, killed or hangs, and comes back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pymysql
import pytest

from tests.faults.conftest import FULL
from tests.faults.load import Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost, rows
from tests.servers.mariadb import MariaDB, connect
from tests.servers.service import LiveService

Start = Callable[..., LiveService]

# To be told to stop is the mildest of the three: it is tried with the full dose alone.
WAYS = [*(["stop"] if FULL else []), "kill", "pause"]
NOTICED = 6.0  # s until everybody is told that the database hangs
BUSY = 6.0  # s more for a machine that is busy with other tests
BACK = 3.0  # s from its return until all is well again


@pytest.fixture
def url(private_mariadb: MariaDB) -> str:
    """A database of a server that may be stopped."""
    with connect(private_mariadb.url) as connection:
        connection.cursor().execute("CREATE DATABASE faults")
    return f"{private_mariadb.url}faults"


@pytest.mark.parametrize("way", WAYS)
def test_away(
    live_service: Start, private_mariadb: MariaDB, url: str, outage: float, way: str
) -> None:
    """While the database is stopped, killed or hangs, callers are told so within seconds, the
    process lives, and all goes on by itself when it is back: nothing acknowledged is lost.
    """
    # Fewer threads than callers, as under a larger load: none may be held for long.
    few = {"MAIMCONFIG_THREADS": "3", "MAIMCONFIG_CHAT_REPLIES": "1"}
    service = live_service(url, "--auto-migrate", env=few)
    with Load(service, World.make(service), each=2) as load:
        load.settle()
        load.mark("broken")
        getattr(private_mariadb, way)()
        time.sleep(outage if way != "pause" else outage + NOTICED)
        if way == "pause":
            private_mariadb.resume()
        else:
            private_mariadb.start()
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


def test_connections_are_killed(live_service: Start, private_mariadb: MariaDB, url: str) -> None:
    """When all connections of the database are killed, again and again, callers hardly notice: a
    unit runs again, or is told as 503.
    """
    service = live_service(url, "--auto-migrate")
    with Load(service, World.make(service), each=2) as load:
        load.settle()
        load.mark("broken")
        for _ in range(10):
            kill_all(private_mariadb.url)
            time.sleep(0.2)
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
