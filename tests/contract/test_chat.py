"""Chats over sockets, in two processes on one database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.harness import MASTER_SECRET, Remote, in_threads
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE

Pair = tuple[LiveService, LiveService]

CHAT = "/api/v2/chat"


@pytest.fixture(scope="module")
def pair(shared_service: Callable[..., LiveService], migrated_database_url: str) -> Pair:
    """Two services on one database, with one master secret."""
    env = {"MAIMCONFIG_SECRET_KEY": MASTER_SECRET}
    first, second = (shared_service(migrated_database_url, cpu=n, env=env) for n in range(2))
    return first, second


def chats(pair: Pair, bodies: list[dict[str, Any]], threads: int = 20) -> list[httpx.Response]:
    """Send bodies to both processes' public planes at once, from so many threads."""

    def some(number: int) -> list[httpx.Response]:
        url = pair[number % len(pair)].public
        with httpx.Client(base_url=url, timeout=PATIENCE) as client:
            return [client.post(CHAT, json=body) for body in bodies[number::threads]]

    found = in_threads([lambda n=number: some(n) for number in range(threads)])
    return [answer for answers in found for answer in answers]


def usage(caller: Remote, tenant_id: str) -> dict[str, Any]:
    """What a tenant has used."""
    return caller.data("GET", f"/api/v2/usage?tenant_id={tenant_id}")["totals"]


def key_of(caller: Remote, **quotas: Any) -> dict[str, Any]:
    """A key of a tenant with quotas."""
    key = caller.key(permissions=["chat"])
    config = {"tenant_config": {"quotas": quotas}}
    caller.data("PUT", f"/api/v2/tenants/{key['tenant_id']}", config)
    return key


def test_requests_of_a_minute(pair: Pair) -> None:
    """Of 100 parallel chats in 2 processes against a quota of 50, exactly 50 are answered."""
    with Remote(pair[0].internal) as caller:
        key = key_of(caller, requests_per_minute=50)
        body = {"api_key": key["api_key"], "message": "你好"}
        answers = chats(pair, [body] * 100)
        assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 50}
        codes = {answer.json()["error_code"] for answer in answers if answer.status_code == 429}
        assert codes == {"RATE_001"}
        assert usage(caller, key["tenant_id"])["requests"] == 50


def test_tokens_of_a_month(pair: Pair) -> None:
    """However many ask in 2 processes, a month's tokens are never oversold."""
    limit = 5_000
    with Remote(pair[0].internal) as caller:
        key = key_of(caller, tokens_per_month=limit)
        body = {"api_key": key["api_key"], "message": "长" * 200}
        answers = chats(pair, [body] * 100)
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 429}
        used = usage(caller, key["tenant_id"])
        assert used["requests"] == statuses[200]
        assert 0 < used["tokens_in"] + used["tokens_out"] <= limit


def test_one_message(pair: Pair) -> None:
    """One message that is sent 40 times to 2 processes has one reply and one usage row."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(permissions=["chat"])
        body = {"api_key": key["api_key"], "message": "你好", "user_id": "u", "message_id": "m"}
        answers = chats(pair, [body] * 40)
        assert {answer.status_code for answer in answers} <= {200, 409}
        replies = {answer.json()["data"]["message_id"] for answer in answers
                   if answer.status_code == 200}  # fmt: skip
        assert len(replies) == 1
        assert usage(caller, key["tenant_id"])["requests"] == 1
        headers = {"X-API-Key": key["api_key"]}
        history = caller.data("GET", f"{CHAT}/history?user_id=u", headers=headers)
        assert [message["role"] for message in history["items"]] == ["assistant", "user"]


def test_one_stream(pair: Pair) -> None:
    """Messages to one stream in 2 processes are counted without gaps, each with its reply."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(permissions=["chat"])
        bodies = [
            {"api_key": key["api_key"], "message": f"{number}", "user_id": "u"}
            for number in range(40)
        ]
        answers = chats(pair, bodies)
        assert {answer.status_code for answer in answers} == {200}
        headers = {"X-API-Key": key["api_key"]}
        query = "user_id=u&page_size=100"
        items = caller.data("GET", f"{CHAT}/history?{query}", headers=headers)["items"]
        assert [item["seq"] for item in reversed(items)] == list(range(1, 81))
        said = {item["id"] for item in items if item["role"] == "user"}
        assert {item["reply_to"] for item in items if item["role"] == "assistant"} == said


def test_events_over_sockets(pair: Pair) -> None:
    """A stream over a socket is `text/event-stream` in chunks, and ends by itself."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(permissions=["chat"])
        body = {"api_key": key["api_key"], "message": "你好", "stream": True}
        with httpx.Client(base_url=pair[0].public, timeout=PATIENCE) as client:
            for _ in range(3):
                with client.stream("POST", CHAT, json=body) as answer:
                    assert answer.headers["Content-Type"].startswith("text/event-stream")
                    assert answer.headers["X-Accel-Buffering"] == "no"
                    assert "message.end" in answer.read().decode()
