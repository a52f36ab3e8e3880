"""What happens between a process and its database at start."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from maimconfig.db import lifecycle, migrations
from maimconfig.db.lifecycle import StartError
from maimconfig.db.session import Database
from maimconfig.runtime import Runtime
from maimconfig.security.vault import Vault
from maimconfig.setting_types import database_url as as_url
from maimconfig.settings import SettingsError, load_settings
from tests.servers.mariadb import fresh_database
from tests.servers.service import LiveService

ONE = "0123456789abcdefghijklmnopqrstuvwxyz"
OTHER = "zyxwvutsrqponmlkjihgfedcba9876543210"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A SQLite file that isn't there yet, in a folder that isn't either."""
    url = as_url(f"sqlite:///{tmp_path / 'new' / 'maimconfig.db'}")
    opened = Database(url, pool_size=2, synchronous="NORMAL")
    yield opened
    opened.dispose()


def test_file_is_private(sqlite: Database) -> None:
    """The SQLite file and what SQLite puts beside it can be read by their owner alone."""
    lifecycle.prepare(sqlite, Vault([ONE]), auto_migrate=False)
    with sqlite.writer.begin():
        folder = Path(str(sqlite.url.database)).parent
        names = {file.name for file in folder.iterdir()}
        assert {"maimconfig.db", "maimconfig.db-wal", "maimconfig.db-shm"} <= names
        for file in folder.glob("maimconfig.db*"):
            if not file.name.endswith(".lock"):
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_embedded_file_is_upgraded(sqlite: Database) -> None:
    """The embedded SQLite file is brought to the newest schema without being asked to."""
    lifecycle.prepare(sqlite, Vault([ONE]), auto_migrate=False)
    assert migrations.matches(sqlite)


def test_server_is_not_upgraded(database: Database) -> None:
    """A MySQL database keeps its schema unless --auto-migrate is given."""
    lifecycle.prepare(database, Vault([ONE]), auto_migrate=False)
    assert migrations.matches(database) is database.is_sqlite
    lifecycle.prepare(database, Vault([ONE]), auto_migrate=True)
    assert migrations.matches(database)


def test_another_secret(database: Database) -> None:
    """A process with another master secret refuses to start and says what to give it."""
    lifecycle.prepare(database, Vault([ONE]), auto_migrate=True)
    with pytest.raises(StartError, match="MAIMCONFIG_SECRET_KEY"):
        lifecycle.prepare(database, Vault([OTHER]), auto_migrate=True)


def test_older_secret_is_known(database: Database) -> None:
    """A process that has the database's secret among its older ones may start."""
    lifecycle.prepare(database, Vault([ONE]), auto_migrate=True)
    lifecycle.prepare(database, Vault([OTHER, ONE]), auto_migrate=True)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"])
def test_memory_is_refused(url: str) -> None:
    """A SQLite database in memory, which threads don't share, is refused."""
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        load_settings({"DATABASE_URL": url})


def test_unusable_file(tmp_path: Path) -> None:
    """A SQLite file that is none stops the start with a sentence that names it."""
    file = tmp_path / "maimconfig.db"
    file.write_text("this is a diary, not a database " * 100)
    database = Database(as_url(f"sqlite:///{file}"), pool_size=1, synchronous="NORMAL")
    with pytest.raises(StartError, match=r"maimconfig\.db can't be used"):
        lifecycle.prepare(database, Vault([ONE]), auto_migrate=False)


def test_server_away(tmp_path: Path) -> None:
    """A service whose MySQL is away starts all the same, and its database doesn't answer."""
    nobody = "mysql://root@127.0.0.1:1/maimconfig"
    settings = load_settings({"MAIMCONFIG_INSTANCE": str(tmp_path), "DATABASE_URL": nobody})
    runtime = Runtime.open(settings)
    assert not runtime.database.answers()
    runtime.close()


def test_wal(sqlite: Database) -> None:
    """The file is in WAL mode, so that readers and the writer don't wait for each other."""
    lifecycle.prepare(sqlite, Vault([ONE]), auto_migrate=False)
    with create_engine(sqlite.url).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_server_without_its_tables(
    mysql_server_url: str, live_service: Callable[..., LiveService]
) -> None:
    """On MySQL without --auto-migrate the service isn't ready, says what to run, and needs no
    restart after it."""
    with fresh_database(mysql_server_url) as url:
        service = live_service(url)
        with httpx.Client(base_url=service.internal, timeout=30) as client:
            waiting = client.get("/health/ready")
            assert waiting.status_code == 503
            assert "maimconfig db upgrade" in waiting.json()["reason"]
            assert client.get("/health/live").status_code == 200
            told = _command(service.instance, url, "db", "upgrade").stdout
            assert migrations.head() in told
            assert client.get("/health/ready").status_code == 200
            body = {"tenant_name": "t", "tenant_type": "personal"}
            assert client.post("/api/v2/tenants", json=body).status_code == 200


def test_server_is_upgraded_when_told_to(
    mysql_server_url: str, live_service: Callable[..., LiveService]
) -> None:
    """With --auto-migrate the service makes its tables itself, with several workers too."""
    with fresh_database(mysql_server_url) as url:
        service = live_service(url, "--auto-migrate", "--workers", "2")
        for _ in range(20):
            assert httpx.get(f"{service.internal}/health/ready").status_code == 200
        service.stop()


def test_another_secret_stops_the_command(database: Database, tmp_path: Path) -> None:
    """`maimconfig serve` under another secret ends with one sentence that says what to do."""
    lifecycle.prepare(database, Vault([ONE]), auto_migrate=True)
    url = database.url.render_as_string(hide_password=False)
    ended = _command(
        tmp_path, url, "serve", MAIMCONFIG_SECRET_KEY=OTHER, MAIMCONFIG_INTERNAL_BIND="127.0.0.1:0",
        MAIMCONFIG_PUBLIC_BIND="127.0.0.1:0",
        MAIMCONFIG_REALTIME_BIND="",
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stdout == ""
    (sentence,) = ended.stderr.splitlines()
    assert "MAIMCONFIG_SECRET_KEY" in sentence
    assert OTHER not in sentence


def test_first_start_makes_a_private_instance(
    tmp_path: Path, live_service: Callable[..., LiveService]
) -> None:
    """The first start makes the secret and the database, each for its owner alone."""
    service = live_service()
    made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in service.instance.iterdir()}
    assert made["secret.key"] == made["maimconfig.db"] == 0o600
    first = (service.instance / "secret.key").read_text()
    service.restart()
    assert (service.instance / "secret.key").read_text() == first


def _command(instance: Path, url: str, *arguments: str, **env: str) -> Any:
    """A run of `maimconfig` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "maimconfig", *arguments],
        env={"MAIMCONFIG_INSTANCE": str(instance), "DATABASE_URL": url, "PATH": "/bin", **env},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=instance,
        check=False,
    )
