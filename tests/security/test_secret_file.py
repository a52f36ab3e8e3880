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

_ROTATE = """
import sys
from pathlib import Path
from maimconfig.security.secret_file import SecretFile
file = SecretFile(Path(sys.argv[1]))
for _ in range(20):
    file.rotate()
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


def test_several_rotate_at_once(tmp_path: Path) -> None:
    """Of rotations at once none loses the secret of another, for values may be under it already."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    (first,) = file.read()
    command = [sys.executable, "-c", _ROTATE, str(file.path)]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    secrets = file.read()
    assert len(set(secrets)) == len(secrets) == 1 + 4 * 20
    assert secrets[-1] == first
    assert [left.name for left in tmp_path.iterdir()] == ["secret.key"]


def test_written_whole(tmp_path: Path) -> None:
    """A reader sees the file before or after a rotation, and nothing in between."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    writer = subprocess.Popen([sys.executable, "-c", _ROTATE, str(file.path)])
    counts = []
    while writer.poll() is None:
        lines = file.read()
        assert all(len(line) == 64 for line in lines)
        counts.append(len(lines))
    assert counts == sorted(counts)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_folder_is_private(tmp_path: Path) -> None:
    """The folder that is made for the file is its owner's alone."""
    SecretFile(tmp_path / "new" / "secret.key").ensure()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_gone(tmp_path: Path) -> None:
    """A file that somebody took away from under a running service is no newer one."""
    file = SecretFile(tmp_path / "secret.key")
    file.ensure()
    file.read()
    file.path.unlink()
    assert not file.changed()
