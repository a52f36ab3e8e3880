"""What `maimconfig restore` refuses, and what it leaves as it was."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from maimconfig.backup import restoring, service
from maimconfig.backup.container import BackupError
from maimconfig.db import migrations
from maimconfig.db.session import Database
from maimconfig.security.vault import Vault
from tests.cli.command import fails, succeeds
from tests.servers.mariadb import fresh_database

SECRET = "ChhqW6ZO3-one-secret-for-a-backup-8f2Yt"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A SQLite database with nothing but the built-in templates."""
    url = make_url(f"sqlite:///{tmp_path / 'maimconfig.db'}")
    opened = Database(url, pool_size=2, synchronous="NORMAL")
    migrations.upgrade(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def file(database: Database, tmp_path: Path) -> Path:
    """A backup of it."""
    path = tmp_path / "backup.gz"
    service.create(database, path, lambda *_: None)
    return path


def refusal(file: Path, database: Database) -> str:
    """Why a backup isn't restored, by force or not."""
    with pytest.raises(BackupError) as refused:
        restoring.prepare(file, database, Vault([SECRET]), force=True)
    return str(refused.value)


@pytest.mark.parametrize("damage", ["a bit", "cut", "a value", "no backup"])
def test_damaged(file: Path, database: Database, damage: str) -> None:
    """A backup that lost a bit, its end or a value is refused."""
    whole = file.read_bytes()
    if damage == "a bit":
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage == "cut":
        file.write_bytes(whole[:-40])
    elif damage == "a value":
        changed = gzip.decompress(whole).replace(b"true", b"null", 1)
        file.write_bytes(gzip.compress(changed))
    else:
        file.write_text("tenants:\n")
    assert "damaged" in refusal(file, database)


@pytest.mark.parametrize(("field", "value"), [("maimconfig_backup", 2), ("schema", "9999")])
def test_newer(file: Path, database: Database, field: str, value: object) -> None:
    """A backup of a newer format or schema is refused, with what to do."""
    first, *rest = gzip.decompress(file.read_bytes()).splitlines(keepends=True)[:-1]
    body = orjson.dumps({**orjson.loads(first), field: value}) + b"\n" + b"".join(rest)
    end = orjson.dumps({"sha256": hashlib.sha256(body).hexdigest()}) + b"\n"
    file.write_bytes(gzip.compress(body + end))
    assert "newer" in refusal(file, database)


def test_other_secret(instance_folder: Path, tmp_path: Path) -> None:
    """Without the secret.key of the instance that was backed up nothing is restored, and none is
    made that couldn't fit; with it all is well."""
    succeeds("db", "upgrade", instance=instance_folder)
    file = tmp_path / "backup.gz"
    succeeds("backup", str(file), instance=instance_folder)
    other = tmp_path / "other"
    other.mkdir()
    assert "secret.key" in fails("restore", str(file), instance=other)
    assert list(other.iterdir()) == []
    sentence = fails(
        "restore", str(file), instance=other, MAIMCONFIG_SECRET_KEY="9f-another-" + "secretive" * 4
    )
    assert "master secret" in sentence
    shutil.copy(tmp_path / "instance" / "secret.key", other)
    succeeds("restore", str(file), instance=other)
    assert (other / "maimconfig.db").stat().st_mode & 0o777 == 0o600


def test_nothing_to_back_up(instance_folder: Path, tmp_path: Path) -> None:
    """Where there is no database there is no backup, and no database afterwards."""
    assert "no SQLite file" in fails("backup", str(tmp_path / "x"), instance=instance_folder)
    assert list(tmp_path.iterdir()) == [instance_folder]


def test_interrupted(file: Path, mysql_server_url: str) -> None:
    """A MySQL database of which only some tables were dropped is marked; restored again it's
    whole."""
    with fresh_database(mysql_server_url) as url:
        target = Database(make_url(url), pool_size=2, synchronous="NORMAL")
        migrations.upgrade(target)
        # Another's table that refers to one of ours keeps that one from being dropped.
        execute(target, "CREATE TABLE other LIKE tenants")
        execute(target, "ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES tenants (id)")
        with pytest.raises(DBAPIError):
            restoring.prepare(file, target, Vault([SECRET]), force=True).run(lambda *_: None)
        assert migrations.current(target) == migrations.RESTORING
        execute(target, "DROP TABLE other")
        restoring.prepare(file, target, Vault([SECRET]), force=True).run(lambda *_: None)
        assert migrations.matches(target)
        assert migrations.differences(target) == []
        target.dispose()


def execute(database: Database, statement: str) -> None:
    """Execute a statement by itself."""
    with database.writer.begin() as connection:
        connection.execute(text(statement))


def test_no_place(file: Path, database: Database, tmp_path: Path) -> None:
    """A folder that isn't there is told in a sentence, and a backup that can't be finished leaves
    the one before it, and nothing beside it."""
    with pytest.raises(BackupError, match="can't be written"):
        service.create(database, tmp_path / "none" / "x.gz", lambda *_: None)
    before = file.read_bytes()

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.create(database, file, stop)
    assert file.read_bytes() == before
    names = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert names - {"maimconfig.db", "maimconfig.db.lock"} == {"backup.gz"}
