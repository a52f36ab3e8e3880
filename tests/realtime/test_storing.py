"""Storing in batches: what one message does to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from maimconfig.conversations.intake import Incoming, Stored
from maimconfig.http.errors import AppError, Busy, DatabaseUnavailable, InternalError
from maimconfig.realtime import storing
from maimconfig.realtime.storing import Storing


def incoming(content: str) -> Incoming:
    """A message."""
    return Incoming("tenant_1", "conv_1", "sess_1", "contact", "contact_1", content)


def outcomes(
    contents: Sequence[str], store: Callable[[Sequence[Incoming]], list[Any]], monkeypatch: Any
) -> list[Any]:
    """What becomes of messages that come at once, with this in the place of the database."""
    monkeypatch.setattr(storing, "store_many", lambda session, some: store(some))
    found: list[Any] = []

    async def write(work: Callable[[Any], Any]) -> Any:
        return work(None)

    async def run() -> None:
        stores = Storing(write)
        running = asyncio.create_task(stores.run())
        for content in contents:
            stores.put(incoming(content), found.append)
        while stores.busy:
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(run())
    return found


def stored(some: Sequence[Incoming]) -> list[Stored | AppError]:
    """All are stored, unless one is poison, which fails the whole unit."""
    if any(one.content == "poison" for one in some):
        raise LookupError("a bug")
    return [Stored({"content": one.content}, 1) for one in some]


def test_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that fails its unit in an unforeseen way is refused, and the others are stored in
    their order.
    """
    found = outcomes(["a", "poison", "b"], stored, monkeypatch)
    assert isinstance(found[1], InternalError)
    assert [one.message["content"] for one in (found[0], found[2])] == ["a", "b"]


def test_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database is away, all messages of the unit are told so, after one try."""
    tries: list[int] = []

    def away(some: Sequence[Incoming]) -> list[Any]:
        tries.append(len(some))
        raise DatabaseUnavailable

    found = outcomes(["a", "b"], away, monkeypatch)
    assert [type(one) for one in found] == [DatabaseUnavailable] * 2
    assert tries == [2]


def test_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes at once is stored in few units, and what is too much at once is refused."""
    monkeypatch.setattr(storing, "MOST_WAITING", 450)
    sizes: list[int] = []

    def count(some: Sequence[Incoming]) -> list[Any]:
        sizes.append(len(some))
        return stored(some)

    found = outcomes(["x"] * 500, count, monkeypatch)
    assert sizes == [200, 200, 50]
    assert sum(isinstance(one, Busy) for one in found) == 50
    assert sum(isinstance(one, Stored) for one in found) == 450
