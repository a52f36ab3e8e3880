"""What `maimconfig restore` refuses, and what it leaves as it was."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import orjson
import pytest

from tests.cli.command import fails, succeeds


@pytest.fixture
def file(instance_folder: Path, tmp_path: Path) -> Path:
    """A backup of a SQLite database with nothing but the built-in templates."""
    succeeds("db", "upgrade", instance=instance_folder)
    path = tmp_path / "backup.gz"
    succeeds("backup", str(path), instance=instance_folder)
    return path


@pytest.mark.parametrize("damage", ["a bit", "cut", "a value", "no backup"])
def test_damaged(file: Path, damage: str, instance_folder: Path) -> None:
    """A backup that lost a bit, its end or a value is refused, and the database stays as it is."""
    whole = file.read_bytes()
    if damage == "a bit":
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage == "cut":
        file.write_bytes(whole[:-40])
    elif damage == "a value":
        file.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"true", b"null", 1)))
    else:
        file.write_text("tenants:\n")
    before = (instance_folder / "maimconfig.db").read_bytes()
    sentence = fails("restore", str(file), "--force", instance=instance_folder)
    assert "damaged" in sentence
    assert (instance_folder / "maimconfig.db").read_bytes() == before


@pytest.mark.parametrize(("field", "value"), [("maimconfig_backup", 2), ("schema", "9999")])
def test_newer(file: Path, field: str, value: object, instance_folder: Path) -> None:
    """A backup of a newer format or schema is refused, with what to do."""
    rewrite_header(file, **{field: value})
    assert "newer" in fails("restore", str(file), "--force", instance=instance_folder)


def test_other_secret(file: Path, tmp_path: Path) -> None:
    """Without the secret.key of the instance that was backed up nothing is restored, and none is
    made that couldn't fit; with it all is well."""
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
    assert not (tmp_path / "x").exists()


def test_no_place(file: Path, instance_folder: Path, tmp_path: Path) -> None:
    """A folder that isn't there is told in a sentence, and a backup that can't be finished leaves
    the one before it, and nothing beside it."""
    assert "can't be written" in fails(
        "backup", str(tmp_path / "none" / "x.gz"), instance=instance_folder
    )
    before = file.read_bytes()
    (instance_folder / "maimconfig.db").write_bytes(os.urandom(8192))
    fails("backup", str(file), instance=instance_folder)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.gz", "instance"]


def rewrite_header(file: Path, **changed: object) -> None:
    """Change what a backup says of itself."""
    first, rest = gzip.decompress(file.read_bytes()).split(b"\n", 1)
    header = {**orjson.loads(first), **changed}
    file.write_bytes(gzip.compress(orjson.dumps(header) + b"\n" + rest))
