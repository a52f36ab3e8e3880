"""How the text of a setting becomes a value; each parser raises ValueError with the reason."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from maimconfig.security.outbound import Allowed
from maimconfig.serving.sockets import Bind

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+aiosqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
}
_MYSQL_DRIVERS = ("", "+pymysql", "+aiomysql", "+asyncmy", "+mysqldb", "+mysqlconnector")

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?\Z")

_WEBSOCKET = re.compile(r"wss?://[A-Za-z0-9.\-\[\]:]+(/[!-~]*)?\Z")

# Values that documents and examples print; whoever copies one has no secret.
_WELL_KNOWN = ("your-secret-key", "change-me", "changeme", "secret-key-here", "example")


@dataclass(frozen=True)
class OperatorProvider:
    """The operator's own account with a built-in AI provider; unset parts are None."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    model: str | None = None


def boolean(raw: Any) -> bool:
    """true/false, yes/no, on/off or 1/0 in any case."""
    text = str(raw).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def integer(low: int, high: int) -> Callable[[Any], int]:
    """A whole number from low to high, both included."""

    def parse(raw: Any) -> int:
        text = str(raw).strip()
        if not (text.isascii() and text.isdigit() and low <= int(text[:20]) <= high):
            raise ValueError(f"{text[:40]!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """What `parse` takes, or nothing."""
    return lambda raw: None if str(raw).strip() == "" else parse(raw)


def choice(values: Mapping[str, T]) -> Callable[[Any], T]:
    """One of the given words, in any case."""

    def parse(raw: Any) -> T:
        word = str(raw).strip().lower()
        if word not in values:
            raise ValueError(f"{word[:40]!r} is none of {', '.join(values)}")
        return values[word]

    return parse


def path(raw: Any) -> Path | None:
    """A path; empty is none."""
    try:
        return Path(str(raw)).expanduser().absolute() if str(raw).strip() else None
    except RuntimeError as error:  # ~somebody
        raise ValueError(f"{str(raw)!r} is in the home folder of nobody") from error


def bind(raw: Any) -> Bind | None:
    """address:port; empty switches the plane off."""
    return Bind.parse(str(raw).strip()) if str(raw).strip() else None


def networks(raw: Any) -> tuple[Network, ...]:
    """Addresses or CIDR networks, separated by commas, or a list of them."""
    return tuple(ipaddress.ip_network(part) for part in _parts(raw))


def allowed(raw: Any) -> tuple[Allowed, ...]:
    """Addresses, networks or host names, each with or without a port, separated by commas."""
    return tuple(Allowed.parse(part) for part in _parts(raw))


def token(raw: Any) -> str | None:
    """A bearer token of at least 16 characters; empty is none."""
    text = str(raw).strip()
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable()):
        raise ValueError("it must have at least 16 printable ASCII characters")
    return text or None


def secret_key(raw: Any) -> str | None:
    """A master secret of at least 32 bytes that no document prints; empty is none.

    32 bytes is the size of the HMAC-SHA256 keys derived from it (RFC 2104, section 3).
    """
    text = str(raw)
    if not text:
        return None
    if len(text.encode()) < 32 or len(set(text)) < 8:
        raise ValueError("it must have at least 32 bytes, and not the same few over and over")
    if any(known in text.lower() for known in _WELL_KNOWN):
        raise ValueError("it is a well-known example, not a secret")
    return text


def secret_keys(raw: Any) -> tuple[str, ...]:
    """Several master secrets, separated by commas, or a list of them."""
    keys = (secret_key(part) for part in _parts(raw))
    return tuple(key for key in keys if key)


def origins(raw: Any) -> tuple[str, ...]:
    """Web origins (scheme, host, port), separated by commas, or a list of them; never `*`."""
    found = tuple(part.rstrip("/") for part in _parts(raw))
    for origin in found:
        if not _ORIGIN.match(origin):
            raise ValueError(f"{origin[:100]!r} is no origin such as https://chat.example.com")
    return found


def redis_url(raw: Any) -> str | None:
    """The URL of a Redis; empty is none."""
    text = str(raw).strip()
    # The text may hold a password, so it is not repeated.
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    try:
        urlsplit(text).port  # noqa: B018  # it is read from the text, and may be no port
    except ValueError:
        raise ValueError("it has no good host and port") from None
    return text or None


def websocket_url(raw: Any) -> str | None:
    """The URL of a WebSocket; empty is none."""
    text = str(raw).strip()
    if text and not _WEBSOCKET.match(text):
        raise ValueError(f"{text[:100]!r} is no URL such as wss://chat.example.com/ws")
    return text or None


def words(raw: Any) -> tuple[str, ...]:
    """Words to look for in any case, separated by commas, or a list of them; empty is none."""
    return tuple(part.casefold() for part in _parts(raw))


def email(raw: Any) -> str | None:
    """An e-mail address; empty is none."""
    text = str(raw).strip()
    if text and ("@" not in text[1:-1] or len(text) > 254):
        raise ValueError("it is no e-mail address")
    return text or None


def password(raw: Any) -> str | None:
    """A password of 8 to 128 characters; empty is none."""
    text = str(raw)
    if text and not 8 <= len(text) <= 128:
        raise ValueError("it must have 8 to 128 characters")
    return text or None


def operator_provider(raw: Any) -> OperatorProvider:
    """A table of api_key, base_url and model."""
    # What is there instead may be the key, so it is not repeated.
    if not isinstance(raw, dict) or set(raw) - {"api_key", "base_url", "model"}:
        raise ValueError("it must be a table of api_key, base_url and model")
    if not all(isinstance(text, str) for text in raw.values()):
        raise ValueError("its parts must be texts")
    return OperatorProvider(**{name: text for name, text in raw.items() if text})


def database_url(raw: Any) -> URL:
    """A SQLAlchemy URL of SQLite or MySQL/MariaDB; async drivers become the ones used here."""
    if isinstance(raw, URL):
        return raw
    try:
        url = make_url(str(raw).strip())
    except (ArgumentError, ValueError):
        # The text may hold a password, so it is not repeated.
        raise ValueError("it is no database URL") from None
    if url.drivername in _DRIVERS:
        if not url.database or url.database.startswith((":memory:", "file:")):
            raise ValueError("it must name a SQLite file, since threads don't share memory")
        return url.set(drivername=_DRIVERS[url.drivername])
    backend, plus, driver = url.drivername.partition("+")
    if backend in ("mysql", "mariadb") and plus + driver in _MYSQL_DRIVERS:
        return url.set(drivername="mysql+pymysql")
    raise ValueError(f"{url.drivername!r} is neither SQLite nor MySQL")


def sqlite_url(file: Path) -> URL:
    """The URL of a SQLite file."""
    return URL.create("sqlite+pysqlite", database=str(file))


def mysql_parts(environ: Mapping[str, str]) -> URL:
    """The MySQL URL that DATABASE_HOST, _PORT, _NAME, _USER and _PASSWORD describe."""
    return URL.create(
        "mysql+pymysql",
        username=environ.get("DATABASE_USER") or None,
        password=environ.get("DATABASE_PASSWORD") or None,
        host=environ["DATABASE_HOST"],
        port=integer(1, 65535)(environ.get("DATABASE_PORT") or 3306),
        database=environ.get("DATABASE_NAME") or "maimconfig",
    )


def _parts(raw: Any) -> list[str]:
    parts = raw if isinstance(raw, list) else str(raw).split(",")
    return [text for part in parts if (text := str(part).strip())]


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
