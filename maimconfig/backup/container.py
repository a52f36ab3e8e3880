"""The file of a backup: a header, the rows, and a checksum of both; no database in here.

It is gzip of lines of JSON, so that any tool can look into it:

    {"maimconfig_backup": 1, "schema": "0004", "secret_id": "9f…", "rows": {"tenants": 2}, …}
    {"table": "tenants", "columns": ["id", "tenant_name"]}
    ["tenant_0199…", "麦麦客服"]
    …
    {"sha256": "…"}                                       of all bytes before this line
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import secrets
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

FORMAT = 1
_LEVEL = 4  # of gzip: a third of the default's time for a twentieth more bytes
_MARK = "maimconfig_backup"


class BackupError(Exception):
    """A backup can't be made or restored; the text is one sentence that says why."""


@dataclass(frozen=True)
class Header:
    """What a backup says of itself.

    Attributes:
        schema: the revision that its tables have.
        secret_id: of the master secret that its secrets are under; None for a database that no
            service was started on yet.
        rows: how many it has, by table.
        made_at: when, as in the API.
        version: of the MaimConfig that made it.
        database: sqlite or mysql.
    """

    schema: str
    secret_id: str | None
    rows: Mapping[str, int]
    made_at: str
    version: str
    database: str


class Writer:
    """Writes the lines of a backup."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sum = hashlib.sha256()

    def header(self, header: Header) -> None:
        """The first line."""
        self._line({_MARK: FORMAT, **asdict(header)})

    def table(self, name: str, columns: Sequence[str]) -> None:
        """What the rows from here on belong to."""
        self._line({"table": name, "columns": list(columns)})

    def row(self, values: Sequence[Any]) -> None:
        """One row, its values in the order of the columns."""
        self._line(values)

    def finish(self) -> None:
        """The last line: the checksum of all before it."""
        self._file.write(orjson.dumps({"sha256": self._sum.hexdigest()}) + b"\n")

    def _line(self, value: Any) -> None:
        line = orjson.dumps(value) + b"\n"
        self._sum.update(line)
        self._file.write(line)


@contextlib.contextmanager
def written(path: Path) -> Iterator[Writer]:
    """A writer of a backup that is there whole or not at all, readable for its owner only.

    Raises:
        BackupError: the file can't be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as raw:
                with gzip.GzipFile("", "wb", _LEVEL, raw) as packed:
                    writer = Writer(cast(BinaryIO, packed))
                    yield writer
                    writer.finish()
                raw.flush()
                os.fsync(raw.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(f"{path} can't be written: {error.strerror or error}.") from error


def header_of(path: Path) -> Header:
    """What a backup says of itself.

    Raises:
        BackupError: it is none, or of a newer format.
    """
    with contextlib.closing(_lines(path)) as lines:
        return _header(path, next(lines, b""))


def check(path: Path) -> None:
    """Read all of a backup and compare its checksum.

    Raises:
        BackupError: it is cut off or damaged.
    """
    found = hashlib.sha256()
    held = b""
    for line in _lines(path):
        found.update(held)
        held = line
    if _parsed(path, held) != {"sha256": found.hexdigest()}:
        raise BackupError(f"{path} is damaged or cut off: its checksum is wrong.")


def rows(path: Path) -> Iterator[tuple[str, list[str], Iterator[list[Any]]]]:
    """The tables of a checked backup, in its order: name, columns, rows.

    Each table's rows must be read before the next table is asked for.
    """
    lines = _lines(path)
    next(lines)
    begins: list[Any] = [_parsed(path, next(lines))]
    while "table" in begins[0]:
        yield begins[0]["table"], begins[0]["columns"], _rows_until(path, lines, begins)


def _rows_until(path: Path, lines: Iterator[bytes], begins: list[Any]) -> Iterator[list[Any]]:
    for line in lines:
        value = _parsed(path, line)
        if not isinstance(value, list):
            begins[0] = value
            return
        yield value


def _lines(path: Path) -> Generator[bytes, None, None]:
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BackupError(f"{path} is damaged or cut off, or no backup at all.") from error
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror or error}.") from error


def _parsed(path: Path, line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BackupError(f"{path} is damaged or cut off, or no backup at all.") from error


def _header(path: Path, line: bytes) -> Header:
    found = _parsed(path, line)
    version = found.pop(_MARK, None) if isinstance(found, dict) else None
    if not isinstance(version, int):
        raise BackupError(f"{path} is no backup of MaimConfig.")
    if version > FORMAT:
        raise BackupError(
            f"{path} is of format {version} and this version reads up to {FORMAT}: restore it "
            "with the version that made it, or a newer one."
        )
    try:
        return Header(**found)
    except TypeError as error:
        raise BackupError(f"{path} is damaged: its header is wrong.") from error
