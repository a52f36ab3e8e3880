"""The disk is full: of the database, and of the log and the instance folder."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.load import Load, World
from tests.faults.small_disk import MariaDBOnSmallDisk, SmallDisk, small_disk
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.servers.mariadb import connect
from tests.servers.private import ServerUnavailable
from tests.servers.service import LiveService

Start = Callable[..., LiveService]

BACK = 10.0  # s until all is well when there is room again
READING = ("check", "read", "list", "live", "ready")


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk for a service alone: its instance folder, its database, its log."""
    with small_disk(tmp_path / "disk", 24) as disk:
        yield disk


@pytest.fixture
def mariadb() -> Iterator[MariaDBOnSmallDisk]:
    """A MariaDB whose disk may be filled."""
    try:
        server = MariaDBOnSmallDisk()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with contextlib.closing(server):
        yield server


def fill_and_free(load: Load, disk: SmallDisk, outage: float) -> None:
    """Fill the disk under load, so long that writes fail, and make room again."""
    load.settle()
    load.mark("broken")
    disk.fill()
    load.fails("create", "update", "chat")
    time.sleep(outage)
    disk.free()
    load.mark("mended")
    load.all_answer(BACK)


@pytest.mark.parametrize("logs_there", [False, True], ids=["stderr", "file"])
def test_sqlite(own_disk: SmallDisk, outage: float, logs_there: bool) -> None:
    """On a full disk reads and key checks go on and writes are 503; it is well by itself when
    there is room, and nothing acknowledged is lost.
    """
    log = {"MAIMCONFIG_LOG_FILE": str(own_disk.folder / "maimconfig.log")} if logs_there else {}
    service = LiveService(own_disk.folder, None, env=log)
    with contextlib.closing(service):
        with Load(service, World.make(service), each=2) as load:
            fill_and_free(load, own_disk, outage)
        load.report("SQLite's disk was full")
        load.refused_well()
        assert load.statuses(*READING) == {200}
        file = service.instance / "maimconfig.db"
        nothing_is_lost(load, f"sqlite:///{file}")
        billing_is_right(load, f"sqlite:///{file}")
        assert '"event":"unexpected"' not in service.log
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_mariadb(live_service: Start, mariadb: MariaDBOnSmallDisk, outage: float) -> None:
    """On MariaDB's full disk reads go on and writes are 503, and it is well by itself when there
    is room.
    """
    with connect(mariadb.url) as connection:
        connection.cursor().execute("CREATE DATABASE faults")
    url = f"{mariadb.url}faults"
    service = live_service(url, "--auto-migrate")
    with Load(service, World.make(service), each=2) as load:
        fill_and_free(load, mariadb.disk, outage)
    load.report("MariaDB's disk was full")
    load.refused_well()
    assert load.statuses(*READING) == {200}
    nothing_is_lost(load, url)
    billing_is_right(load, url)
    assert '"event":"unexpected"' not in service.log
