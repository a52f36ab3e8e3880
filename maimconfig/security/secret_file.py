"""The file of master secrets in the instance folder: one a line, the current one first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

SECRET_BYTES = 48


class SecretFile:
    """A file that only its owner may read, made at first start and replaced whole."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet.

        Args:
            path: where it is, or will be.
        """
        self.path = path
        self._read_version: tuple[int, int] | None = None

    def ensure(self) -> None:
        """Make the file with a fresh secret unless it is there; safe when several processes
        start at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.exists():
            return
        fresh = self._write_aside([secrets.token_urlsafe(SECRET_BYTES)])
        try:
            # link() fails when somebody else was first; rename() would replace their secret.
            with contextlib.suppress(FileExistsError):
                os.link(fresh, self.path)
        finally:
            fresh.unlink()

    def read(self) -> list[str]:
        """The secrets, the current one first."""
        self._read_version = self._version()
        lines = self.path.read_text(encoding="ascii").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def changed(self) -> bool:
        """Whether the file is another one than was read last; one that is gone isn't."""
        try:
            return self._version() != self._read_version
        except FileNotFoundError:
            return False

    def rotate(self) -> None:
        """Put a fresh secret in front, so that new values are under it and old ones can be read."""
        with self._alone():
            fresh = secrets.token_urlsafe(SECRET_BYTES)
            self._write_aside([fresh, *self.read()]).replace(self.path)

    def forget_previous(self) -> None:
        """Keep only the current secret."""
        with self._alone():
            self._write_aside(self.read()[:1]).replace(self.path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process replace the file between our reading and our writing."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _version(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_ino, status.st_mtime_ns

    def _write_aside(self, lines: list[str]) -> Path:
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return aside
