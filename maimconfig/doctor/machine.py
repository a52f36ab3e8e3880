"""The machine: files, disk space, ports."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx

from maimconfig.db.engine import is_sqlite
from maimconfig.doctor.finding import Finding, error, ok, warning
from maimconfig.serving.sockets import Bind
from maimconfig.settings import Settings

_OTHERS = 0o077  # group and everybody else
_FEW_BYTES, _TOO_FEW_BYTES = 1 << 30, 100 << 20
_SECONDS = 2


def files(settings: Settings) -> Iterator[Finding]:
    """Whether the instance folder is there, ours, and nobody else's."""
    folder = settings.instance
    if not folder.is_dir():
        yield warning("files", f"{folder} isn't there", "The service makes it at its first start.")
        return
    found = [problem for path in (folder, *_own_files(settings)) for problem in _problems(path)]
    yield from found
    if settings.secret_key is None and not (folder / "secret.key").exists():
        yield warning(
            "files",
            f"there is no {folder / 'secret.key'}",
            "It is made at the first start; to use a database that is there already, put the "
            "secret.key that belongs to it in this place first.",
        )
    elif not found:
        yield ok("files", f"{folder} is readable for its owner only")


def _own_files(settings: Settings) -> list[Path]:
    names = ["secret.key", "config.toml"]
    paths = [settings.instance / name for name in names]
    if is_sqlite(settings.database_url):
        database = str(settings.database_url.database)
        paths += [Path(database + ending) for ending in ("", "-wal", "-shm")]
    return [path for path in paths if path.exists()]


def _problems(path: Path) -> Iterator[Finding]:
    status = path.stat()
    if status.st_mode & _OTHERS:
        found = error if path.name == "secret.key" else warning
        right = "700" if path.is_dir() else "600"
        yield found(
            "files",
            f"{path} is open to other users (mode {status.st_mode & 0o777:o})",
            f"Run `chmod {right} {path}`.",
        )
    if os.geteuid() not in (0, status.st_uid):
        yield warning(
            "files",
            f"{path} belongs to another user",
            "Run this as the service's user, or give the file to it with chown.",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        yield error("files", f"{path} can't be read and written", f"Run `chmod u+rw {path}`.")


def disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is room to write."""
    folders = [settings.instance]
    if is_sqlite(settings.database_url):
        folders.append(Path(str(settings.database_url.database)).parent)
    if settings.log_file is not None:
        folders.append(settings.log_file.parent)
    for folder in dict.fromkeys(folder for folder in folders if folder.is_dir()):
        free = shutil.disk_usage(folder).free
        text = f"{free >> 20} MiB are free in {folder}"
        if free < _TOO_FEW_BYTES:
            yield error("disk", text, "Make room, or writes will be refused.")
        elif free < _FEW_BYTES:
            yield warning("disk", text, "Make room, or set the retention settings.")
        else:
            yield ok("disk", text)


def ports(settings: Settings) -> Iterator[Finding]:
    """Whether each plane's port is free, or ours."""
    binds = {
        "internal": settings.internal_bind,
        "public": settings.public_bind,
        "realtime": settings.realtime_bind,
    }
    for plane, bind in binds.items():
        if bind is not None:
            yield _port(plane, bind)


def _port(plane: str, bind: Bind) -> Finding:
    try:
        family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((bind.host, bind.port))
    except PermissionError:
        return error(
            "ports",
            f"{bind} ({plane}) is a port for root only",
            f"Set MAIMCONFIG_{plane.upper()}_BIND to a port above 1023.",
        )
    except OSError as reason:
        if _is_ours(plane, bind):
            return ok("ports", f"{bind} ({plane}): MaimConfig is running")
        return error(
            "ports",
            f"{bind} ({plane}) can't be used: {reason.strerror}",
            f"End what listens there, or set MAIMCONFIG_{plane.upper()}_BIND.",
        )
    return ok("ports", f"{bind} ({plane}) is free")


def _is_ours(plane: str, bind: Bind) -> bool:
    # What every plane answers, whatever token it asks for besides.
    alive = {"status": "healthy" if plane == "realtime" else "alive"}
    try:
        answer = httpx.get(f"http://{bind}/health/live", timeout=_SECONDS, trust_env=False)
        return bool(answer.json() == alive)
    except (httpx.HTTPError, ValueError):
        return False
