"""How the processes of one machine tell each other their numbers: a file each, in one folder.

A process writes its numbers when it writes its other counts, twice a second, and at its end;
whoever is asked for /metrics reads them all. While it lives it holds a lock on a second file, which
the kernel gives back however it ends: a process id would not do, for it comes again, and other
containers have others. What ended processes counted is added up in `ended.json`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from maimconfig.metrics.instruments import Series, Snapshot, snapshot
from maimconfig.metrics.merging import merged

_ENDED = "ended.json"
_LOCK = "lock"


class Exchange:
    """The numbers of this process, and where others leave theirs."""

    def __init__(self, folder: Path | None, tenants: int) -> None:
        """Nothing is written yet.

        Args:
            folder: where the machine's processes leave their numbers; None for this one alone.
            tenants: how many have series of their own.
        """
        self._folder = folder
        self._tenants = tenants
        self._name = ""
        self._pid = 0
        self._alive: int | None = None
        self._last = b""
        self._publishing = threading.Lock()

    def publish(self) -> None:
        """Leave this process's numbers for the others.

        Raises:
            OSError: the folder can't be written.
        """
        if self._folder is None:
            return
        with self._publishing:
            self._appear(self._folder)
            content = orjson.dumps(_written(snapshot()))
            if content != self._last:
                _replace(self._folder / f"{self._name}.json", content)
                self._last = content

    def collect(self) -> Snapshot:
        """The numbers of all processes, this one's as they are now.

        Raises:
            OSError: the folder can't be used.
        """
        if self._folder is None:
            return merged([snapshot()], [], self._tenants)
        self.publish()
        with _locked(self._folder / _LOCK):
            living, ended = self._read(self._folder)
            self._keep(self._folder, ended)
        return merged(living, ended.values(), self._tenants)

    def close(self) -> None:
        """Leave the last numbers, which from now on are those of a process that ended."""
        with contextlib.suppress(OSError):
            self.publish()
        if self._alive is not None and self._pid == os.getpid():
            os.close(self._alive)
        self._alive = None

    def _appear(self, folder: Path) -> None:
        if self._alive is not None and self._pid == os.getpid():
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._pid = os.getpid()
        self._name = f"{self._pid}-{secrets.token_hex(4)}"
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        self._alive = os.open(folder / f"{self._name}.alive", flags, 0o600)
        fcntl.flock(self._alive, fcntl.LOCK_EX)

    def _read(self, folder: Path) -> tuple[list[Snapshot], dict[str, Snapshot]]:
        living: list[Snapshot] = []
        ended: dict[str, Snapshot] = {}
        before = _read(folder / _ENDED)
        if before is not None:
            ended[_ENDED] = _restored(before["numbers"])
        # One that was added up and not yet removed when somebody was killed.
        counted = set(before["files"] if before else ())
        for file in sorted(folder.glob("*-*.json")):
            found = _read(file)
            if found is None or file.stem in counted:
                continue
            if file.stem == self._name or _is_alive(file.with_suffix(".alive")):
                living.append(_restored(found))
            else:
                ended[file.stem] = _restored(found)
        return living, ended

    def _keep(self, folder: Path, ended: dict[str, Snapshot]) -> None:
        """Add up those who ended, and remove what they left."""
        files = sorted(ended.keys() - {_ENDED})
        if not files:
            return
        numbers = _written(merged([], ended.values(), self._tenants))
        _replace(folder / _ENDED, orjson.dumps({"files": files, "numbers": numbers}))
        for name in files:
            for suffix in (".json", ".alive"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)


def _is_alive(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(file: Path, content: bytes) -> None:
    """Write a file as a whole: who reads it sees the old or the new one."""
    draft = file.with_suffix(f".{os.getpid()}.draft")
    draft.write_bytes(content)
    draft.replace(file)


def _read(file: Path) -> Any:
    try:
        return orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return None


def _written(numbers: Snapshot) -> dict[str, list[Any]]:
    return {name: [[key, values] for key, values in series.items()]
            for name, series in numbers.items() if series}  # fmt: skip


def _restored(found: dict[str, list[Any]]) -> Snapshot:
    return {name: _series(rows) for name, rows in found.items()}


def _series(rows: list[Any]) -> Series:
    return {tuple(key): values for key, values in rows}
