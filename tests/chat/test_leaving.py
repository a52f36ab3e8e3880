"""Readers that leave, over real sockets and the server that serves in production."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from maimconfig.chat.models import ChatMessage
from maimconfig.runtime import Runtime
from maimconfig.serving.sockets import Bind, address_of, open_listener
from maimconfig.serving.worker import Worker
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import Script
from tests.serving.harness import PATIENCE, eventually

URL = "/api/v2/chat"
WITHIN = 2.0  # s, issue: "closes the provider's connection within 2 s even while it is silent"
BUSY = 20.0  # s more for a machine that is busy; the provider is silent for longer than that

Rows = Callable[..., list[Any]]


@pytest.fixture
def base_url(api: Api) -> Iterator[str]:
    """The internal plane behind waitress, in a thread of its own."""
    listener = open_listener(Bind("127.0.0.1", 0))
    worker = Worker(
        {"internal": api.app.wsgi_app},
        {},
        {"internal": listener},
        threads=4,
        drain_seconds=5,
        on_drain=lambda: None,
    )
    url = f"http://{address_of(listener)}"
    thread = threading.Thread(target=worker.serve)
    thread.start()
    yield url
    worker.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture
def body(api: Api) -> dict[str, Any]:
    """A message whose reply is wanted as it comes."""
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    return {**ids, "message": "你好", "user_id": "u", "stream": True}


@pytest.mark.parametrize("pieces", range(10))
def test_leaving(
    pieces: int, base_url: str, body: dict[str, Any], script: Script, rows: Rows, runtime: Runtime,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """Wherever a reader leaves, the provider is let go within 2 s though it is silent, and what it
    produced is kept and billed."""
    text = "一二三四五六七八九"[:pieces]
    script.steps = [*text, threading.Event(), "never said"]
    with (
        httpx.Client(base_url=base_url, timeout=PATIENCE) as client,
        client.stream("POST", URL, json=body) as answer,
    ):
        lines = answer.iter_lines()
        seen = 0
        while seen <= pieces:
            seen += next(lines).startswith("event: ")
    eventually(lambda: script.cancelled == 1, within=WITHIN + BUSY)
    eventually(lambda: rows(UsageRecord, body["tenant_id"]), within=WITHIN + BUSY)
    (used,) = rows(UsageRecord, body["tenant_id"])
    assert (used.status, used.tokens_out) == ("aborted", pieces)
    assert used.tokens_in > 0 or pieces == 0
    kept = [(row.state, row.content) for row in rows(ChatMessage, body["tenant_id"])[1:]]
    assert kept == ([("partial", text)] if text else [])
    assert settled(body["tenant_id"])
    eventually(lambda: runtime.reply_slots("internal").taken == 0)


def test_comes_as_it_is_said(base_url: str, body: dict[str, Any], script: Script) -> None:
    """Each piece reaches the reader when it is said, not when the reply is over."""
    gates = [threading.Event() for _ in range(3)]
    script.steps = [step for number, gate in enumerate(gates) for step in (f"{number}", gate)]
    with (
        httpx.Client(base_url=base_url, timeout=PATIENCE) as client,
        client.stream("POST", URL, json=body) as answer,
    ):
        lines = answer.iter_lines()
        for number, gate in enumerate(gates):
            while f'{{"content":"{number}"}}' not in next(lines):
                pass
            gate.set()
        assert "message.end" in "\n".join(lines)
