"""What hostile callers send: values for every place of a request where a value can stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

# Wrong types, numbers at and beyond every limit, texts that mean something to somebody.
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    10**21, float("nan"), float("inf"),
    "", " ", "12", "on", "\0", "a\0b", "\ud800", "\udfffx", "a\u202eb", "😀" * 101, "x" * 101,
    "x" * 100_000, "'", '"', "\\", "%", "50%_", "'; DROP TABLE tenants; --", "{0}{x}%s%n${7*7}",
    "../../etc/passwd", "a\r\nSet-Cookie: x=1", "<script>", "********", "enc:0:0",
    "2026-11-23T08:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "mmc_", "mmc_====", "mmc_é", "mmc_" + "A" * 10_000, "(a+)+$",
    [], [None], [[]], [{}], ["a", "a "], ["", 1], ["x" * 10_000], [2**63], ["10.0.0.0/99"], ["*"],
    {}, {"": {}}, {"a": None}, {"a": 2**63}, {"\0": 1}, {"\ud800": 1}, {"quotas": []},
    {"quotas": {"max_agents": -1}}, {"quotas": {"max_agents": 2**63}}, {"status": [], "cost": {}},
    {"cost": 1e308, "prompt_tokens": 2**64 - 1}, {"persona": 1, "config_overrides": []},
    {"tags": ["x" * 51]}, {"tags": {"a": 1}}, {"limit": 2**31, "window_seconds": 2**31},
]  # fmt: skip

BODIES: list[bytes] = [
    b"[]", b"[{}]", b'"text"', b"1", b"true", b"null", b"{", b"\xff", b"\xef\xbb\xbf{}", b"\0",
    b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": 1, "a": 2}', b'{"\\u0000": 1}', b'{"\\ud800": "\\udc00"}', b"NaN", b"{} {}",
]  # fmt: skip

TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff/;;=", ""]

QUERY: list[str] = [
    "", "0", "-1", "1.0", "1e3", str(2**31), str(2**63), str(10**21), "9" * 5000, "NaN", "true",
    "٣", " 1", "\0", "a\0b", "😀", "50%_", "%", "'", '"', "' OR 1=1 --", "x" * 5000, "[]", "{}",
    "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    "2026-01-01T00:00:00Z\0",
]  # fmt: skip

RAW_QUERIES = [
    "&&==&",
    "page",
    "page=1&page=0",
    "%",
    "%ff=%fe",
    "a[]=1",
    "q=50%_",
    "_=1&\U0001f600=1",
]

HEADERS: dict[str, list[str]] = {
    "If-Match": ["", "*", "W/", '"' + "1" * 5000 + '"', "\xff", '"1"' * 5000, ",,,"],
    "If-None-Match": ["", "*", '"' + "1" * 5000 + '"', "\xff", ",,,"],
    "Idempotency-Key": ["", "x" * 256, "\xff", "'"],
    "Accept": ["", "garbage", "text/csv;q=x", "*/*;q=0", "\xff"],
    "Accept-Language": ["", "en;q=x", "\xff", "x" * 5000],
    "X-Request-ID": ["", "\xff", "x" * 5000, "a b"],
    "X-Forwarded-For": ["", "garbage", "\xff", "fe80::1%" + "x" * 5000],
    "Authorization": ["", "Bearer", "Basic \xff", "Bearer mmc_\xff"],
    "X-API-Key": ["", "mmc_", "\xff", "x" * 5000],
    "Content-Encoding": ["gzip"],
    "Range": ["bytes=0-", "garbage"],
}


def path_values(known: str) -> list[str]:
    """What may stand for an id in a path, some of it close to an id that exists."""
    return [
        f"{known} ", f" {known}", f"{known}\0", f"{known}'", f'{known}"', f"{known}%",
        known.upper(), known[:-1] or "x", f"{known}\n", "😀", "x" * 500, "%", "_", "' OR 1=1 --",
        "..", ".", "null", "0",
        "-1", "1" * 5000, str(2**63), "\ud800", "\xff", "a;b=c", "a?b", "a#b", "{id}",
    ]  # fmt: skip


def as_path(value: str) -> str:
    """A value escaped for a path; what UTF-8 can't express goes as its bytes."""
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def wrong_everywhere(valid: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Bodies that have one value in all fields, for each of which an answer tells what is wrong.

    Args:
        valid: a body that is accepted.
        schema: of the body, with its references resolved one level deep.
    """
    names = _names(valid, schema)
    inner = {name: within for name in names if (within := _within(schema, name))}
    for value in VALUES:
        yield dict.fromkeys(names, value)
        if inner:
            yield {**valid, **{name: dict.fromkeys(inner[name], value) for name in inner}}
    for name in names:
        yield {key: value for key, value in valid.items() if key != name}
    yield {**valid, "unknown\0": 1}
    yield {**valid, "x" * 100_000: 1}
    yield {**valid, **{f"unknown{number}": 1 for number in range(1000)}}


def wrong_in_one_place(
    valid: dict[str, Any], schema: dict[str, Any], *, deep: bool
) -> Iterator[dict[str, Any]]:
    """Bodies that have one value in one field, and are right but for that.

    Args:
        valid, schema: as above.
        deep: go one level into objects too.
    """
    for name in _names(valid, schema):
        for value in VALUES:
            yield {**valid, name: value}
        for inner in _within(schema, name) if deep else ():
            for value in VALUES:
                yield {**valid, name: {inner: value}}


def _names(valid: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    return sorted({*schema.get("properties", {}), *valid})


def _within(schema: dict[str, Any], name: str) -> list[str]:
    return sorted(schema.get("properties", {}).get(name, {}).get("properties", {}))


def as_json(body: Any) -> bytes:
    """A body as bytes, whatever JSON makes of it: NaN, lone surrogates, endless numbers."""
    return json.dumps(body).encode()
