"""The disk is full: of the database, and of the log and the instance folder."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.faults.small_disk import MariaDBOnSmallDisk, SmallDisk, small_disk
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.metrics.scraped import samples_of, total
from tests.servers.mariadb import connect
from tests.servers.private import ServerUnavailable
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

LOST = "maimconfig_log_lines_lost_total"
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


def test_sqlite(own_disk: SmallDisk, outage: float) -> None:
    """On a full disk, where the log goes too, reads and key checks go on and writes are 503; it is
    well by itself when there is room, and nothing acknowledged is lost.
    """
    service = LiveService(own_disk.folder, None)
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


def test_log_and_mariadb(own_disk: SmallDisk, mariadb: MariaDBOnSmallDisk, outage: float) -> None:
    """That the disk of the log file is full nobody notices, but the log when there is room again.
    On MariaDB's full disk reads go on and writes are 503, and it is well by itself when there is
    room.
    """
    with connect(mariadb.url) as connection:
        connection.cursor().execute("CREATE DATABASE faults")
    url = f"{mariadb.url}faults"
    file = own_disk.folder / "maimconfig.log"
    log = {"MAIMCONFIG_LOG_FILE": str(file)}
    service = LiveService(own_disk.folder, url, "--auto-migrate", env=log)
    with contextlib.closing(service):
        with Load(service, World.make(service), each=2) as load:
            load.settle()
            own_disk.fill()
            load.all_answer()
            assert load.statuses() == {200}
            fill_and_free(load, mariadb.disk, outage)
            written = file.stat().st_size
            own_disk.free()
            load.all_answer()
            eventually(lambda: file.stat().st_size > written)
            lost = total(
                samples_of(httpx.get(f"{service.internal}/metrics", timeout=PATIENCE).text), LOST
            )
        load.report("the log's disk was full, and MariaDB's")
        publish("lines of the log", [f"{lost:.0f} were lost"])
        load.refused_well()
        assert load.statuses(*READING) == {200}
        nothing_is_lost(load, url)
        billing_is_right(load, url)
        assert '"event":"unexpected"' not in service.log + file.read_text()
        assert lost > 0
