"""The database is stopped, killed or hangs, and comes back."""

from __future__ import annotations

import contextlib
import random

import pymysql

from tests.faults.conftest import FULL, Start
from tests.faults.load import Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.servers.mariadb import MariaDB, connect
from tests.servers.service import LiveService

# To be told to stop is the mildest of the three: it is tried with the full dose alone.
WAYS = [*(["stop"] if FULL else []), "kill", "pause"]
NOTICED = 6.0  # s until everybody is told that the database hangs
BUSY = 6.0  # s more for a machine that is busy with other tests
PLACES = 2  # for replies
BACK = 3.0  # s from its return until all is well again


def test_one_outage_after_another(
    live_service: Start, private_mariadb: MariaDB, outage: float
) -> None:
    """While the database is stopped, killed or hangs, callers are told so within seconds, the
    process lives, and all goes on by itself when it is back: nothing acknowledged is lost. When
    all connections of the database are killed, again and again, callers hardly notice.

    It is one service for all, which is never restarted.
    """
    with connect(private_mariadb.url) as connection:
        connection.cursor().execute("CREATE DATABASE faults")
    # Few threads, as under a larger load: none may be held for long.
    few = {"MAIMCONFIG_THREADS": "3", "MAIMCONFIG_CHAT_REPLIES": str(PLACES)}
    service = live_service(f"{private_mariadb.url}faults", "--auto-migrate", env=few)
    for way in random.sample(WAYS, len(WAYS)):
        bears_its_absence(service, private_mariadb, outage, way)
    bears_killed_connections(service, private_mariadb)
    assert '"event":"unexpected"' not in service.log


def bears_its_absence(service: LiveService, mariadb: MariaDB, outage: float, way: str) -> None:
    """Callers are told that the database is away, and are answered when it is back."""
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
    nothing_is_lost(load, f"{mariadb.url}faults")
    billing_is_right(load, f"{mariadb.url}faults")


def bears_killed_connections(service: LiveService, mariadb: MariaDB) -> None:
    """A unit whose connection was killed runs again, or is told as 503."""
    with (
        contextlib.closing(connect(mariadb.url)) as killer,
        Load(service, World.make(service), each=PLACES) as load,
    ):
        load.settle()
        load.mark("broken")
        for _ in range(10):
            kill_all(killer)
            load.waits(0.2)
        load.mark("mended")
        load.all_answer(BACK + BUSY)
    load.report("10 times all connections were killed")
    load.refused_well()
    failed = [answer for answer in load.answers if not answer.good]
    assert len(failed) < len(load.answers) / 10
    nothing_is_lost(load, f"{mariadb.url}faults")
    billing_is_right(load, f"{mariadb.url}faults")


def kill_all(killer: pymysql.Connection) -> None:
    """Kill all connections to the database."""
    with killer.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = 'faults'")
        for (number,) in cursor.fetchall():
            with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself
                cursor.execute(f"KILL {number}")
