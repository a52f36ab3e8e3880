"""The file of master secrets."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from maimconfig.security.secret_file import SecretFile

_ENSURE = """
import sys
from pathlib import Path
from maimconfig.security.secret_file import SecretFile
file = SecretFile(Path(sys.argv[1]))
file.ensure()
print(file.read())
"""


def test_made_private(tmp_path: Path) -> None:
    """The file is made with one secret of at least 32 bytes, for its owner alone."""
    file = SecretFile(tmp_path / "new" / "secret.key")
    file.ensure()
    (secret,) = file.read()
    assert len(secret.encode()) >= 32
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_kept(tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    before = file.read()
    file.ensure()
    assert file.read() == before


def test_several_processes(tmp_path: Path) -> None:
    """Processes that start at once agree on one secret, and leave no other file."""
    command = [sys.executable, "-c", _ENSURE, str(tmp_path / "secret.key")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    told = {process.communicate(timeout=60)[0] for process in running}
    assert len(told) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_rotate(tmp_path: Path) -> None:
    """A rotation puts a fresh secret in front and keeps the older one; forgetting drops it."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    (old,) = file.read()
    file.rotate()
    new, kept = file.read()
    assert kept == old != new
    file.forget_previous()
    assert file.read() == [new]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_changed(tmp_path: Path) -> None:
    """A reader notices that another process replaced the file."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    file.read()
    assert not file.changed()
    SecretFile(file.path).rotate()
    assert file.changed()
