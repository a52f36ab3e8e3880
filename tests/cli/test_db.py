"""`maimconfig db upgrade|current|check`"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from maimconfig.db import migrations
from tests.cli.command import fails, maimconfig, succeeds

NOBODY = "mysql://u:a-password@127.0.0.1:1/x"


def execute(database_url: str, statement: str) -> None:
    """Run a statement on the database."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_upgrade(instance_folder: Path, database_url: str) -> None:
    """An empty database is brought to the newest revision, and doing it again changes nothing."""
    at_head = f"{migrations.head()} (newest: {migrations.head()})\n"
    for _ in range(2):
        found = succeeds("db", "upgrade", instance=instance_folder, DATABASE_URL=database_url)
        assert found == at_head
    assert succeeds("db", "current", instance=instance_folder, DATABASE_URL=database_url) == at_head
    checked = succeeds("db", "check", instance=instance_folder, DATABASE_URL=database_url)
    assert checked == "The schema is as it should be.\n"


def test_several_upgrades(instance_folder: Path, database_url: str) -> None:
    """Upgrades that run at once all succeed; one does the work."""
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(
                maimconfig, "db", "upgrade", instance=instance_folder, DATABASE_URL=database_url
            )
            for _ in range(3)
        ]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr


def test_empty_database(instance_folder: Path, database_url: str) -> None:
    """An empty database is said to be empty, and to differ."""
    settings = {"DATABASE_URL": database_url}
    if database_url.startswith("sqlite"):
        Path(database_url.removeprefix("sqlite:///")).touch()
    current = succeeds("db", "current", instance=instance_folder, **settings)
    assert current == f"empty (newest: {migrations.head()})\n"
    checked = maimconfig("db", "check", instance=instance_folder, **settings)
    assert checked.returncode == 1
    assert checked.stdout.endswith("The schema differs.\n")
    assert list(instance_folder.iterdir()) == []


@pytest.mark.parametrize("command", ["current", "check"])
def test_no_file_yet(instance_folder: Path, command: str) -> None:
    """Asking about a SQLite file that isn't there doesn't make it, and says what does."""
    sentence = fails("db", command, instance=instance_folder)
    assert "maimconfig.db" in sentence
    assert "`maimconfig db upgrade`" in sentence
    assert list(instance_folder.iterdir()) == []


def test_difference(instance_folder: Path, database_url: str) -> None:
    """What differs from this version's models is shown, with exit code 1."""
    settings = {"DATABASE_URL": database_url}
    succeeds("db", "upgrade", instance=instance_folder, **settings)
    execute(database_url, "ALTER TABLE agents ADD COLUMN colour VARCHAR(10)")
    checked = maimconfig("db", "check", instance=instance_folder, **settings)
    assert checked.returncode == 1
    assert "colour" in checked.stdout
    assert checked.stderr == ""


def test_unknown_revision(instance_folder: Path, database_url: str) -> None:
    """A database of a newer version is not touched, and that is one sentence."""
    settings = {"DATABASE_URL": database_url}
    succeeds("db", "upgrade", instance=instance_folder, **settings)
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert "9999" in fails("db", "upgrade", instance=instance_folder, **settings)
    current = succeeds("db", "current", instance=instance_folder, **settings)
    assert current.startswith("9999 ")


@pytest.mark.parametrize("command", ["upgrade", "current", "check"])
def test_database_away(instance_folder: Path, command: str) -> None:
    """A database that can't be reached is one sentence, without the password."""
    done = maimconfig("db", command, instance=instance_folder, DATABASE_URL=NOBODY)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("maimconfig: The database can't be reached: ")
    assert "a-password" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["upgrade", "current", "check"])
def test_unusable_file(instance_folder: Path, tmp_path: Path, command: str) -> None:
    """A SQLite file that is none is one sentence."""
    file = tmp_path / "diary"
    file.write_text("this is a diary, not a database " * 100)
    settings = {"DATABASE_URL": f"sqlite:///{file}"}
    assert "not a database" in fails("db", command, instance=instance_folder, **settings)


def test_wrong_setting(instance_folder: Path) -> None:
    """A wrong setting is one sentence that names it."""
    sentence = fails("db", "upgrade", instance=instance_folder, DATABASE_URL="oracle://h/x")
    assert sentence.startswith("DATABASE_URL can't be used: ")


def test_another_secret(instance_folder: Path, tmp_path: Path, database_url: str) -> None:
    """An upgrade under another master secret than the database's is refused."""
    succeeds("db", "upgrade", instance=instance_folder, DATABASE_URL=database_url)
    sentence = fails("db", "upgrade", instance=tmp_path / "other", DATABASE_URL=database_url)
    assert "another master secret" in sentence
