"""message_id: a message that is sent again is answered once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.chat.models import ChatMessage, PendingReply
from maimconfig.providers.types import Failure
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import Script
from tests.parallel import at_once
from tests.serving.harness import eventually

URL = "/api/v2/chat"
Rows = Callable[..., list[Any]]


@pytest.fixture
def body(api: Api) -> dict[str, Any]:
    """A message with a message_id."""
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    return {**ids, "message": "你好", "user_id": "u", "message_id": "m-1"}


def test_again(api: Api, body: dict[str, Any], script: Script, rows: Rows) -> None:
    """A retry gets the reply that was stored, and costs nothing."""
    first, second = (api.data(api.post(URL, body)) for _ in range(2))
    assert first == second
    assert len(script.asks) == 1
    assert len(rows(UsageRecord, body["tenant_id"])) == 1
    assert [row.seq for row in rows(ChatMessage, body["tenant_id"])] == [1, 2]


def test_without_a_stream(api: Api, body: dict[str, Any], script: Script) -> None:
    """A message_id alone makes a retry harmless too."""
    del body["user_id"]
    assert api.data(api.post(URL, body)) == api.data(api.post(URL, body))
    assert len(script.asks) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_streamed_again(streamed: bool, api: Api, body: dict[str, Any], script: Script) -> None:
    """A reply that was streamed is told again as it was, whole."""
    answer = api.post(URL, {**body, "stream": True})
    assert "event: message.end" in answer.get_data(as_text=True)
    again = api.post(URL, {**body, "stream": streamed})
    assert again.status_code == 200
    assert "好的" in again.get_data(as_text=True)
    assert len(script.asks) == 1


def test_at_once(
    api: Api, body: dict[str, Any], script: Script, rows: Rows, settled: Callable[[str], bool]
) -> None:
    """Of 20 at once one is answered; the others get that reply or 409, and there is one row."""
    gate = threading.Event()
    script.steps = [gate, "好的"]
    opener = threading.Timer(0.5, gate.set)
    opener.start()
    answers = at_once(api, [lambda client: client.post(URL, json=body)] * 20)
    opener.join()
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}
    assert statuses[200] >= 1
    told = {answer.get_json()["data"]["message_id"] for answer in answers if answer.is_json
            and answer.status_code == 200}  # fmt: skip
    assert len(told) == 1
    for answer in answers:
        if answer.status_code == 409:
            api.error(answer, 409, "CHAT_005")
            assert answer.headers["Retry-After"]
    assert len(script.asks) == 1
    assert [row.role for row in rows(ChatMessage, body["tenant_id"])] == ["user", "assistant"]
    assert len(rows(UsageRecord, body["tenant_id"])) == 1
    assert settled(body["tenant_id"])


def test_still_answering(api: Api, body: dict[str, Any], script: Script, rows: Rows) -> None:
    """A retry while the first is being answered is 409 CHAT_005, and then gets the reply."""
    gate = threading.Event()
    script.steps = [gate, "好的"]
    first: list[Any] = []
    client = api.app.test_client()
    asking = threading.Thread(target=lambda: first.append(client.post(URL, json=body)))
    asking.start()
    eventually(lambda: rows(PendingReply, body["tenant_id"]))
    api.error(api.post(URL, body), 409, "CHAT_005")
    gate.set()
    asking.join()
    assert api.data(api.post(URL, body)) == first[0].get_json()["data"]


@pytest.mark.parametrize("steps", [[Failure.CONNECT], ["好", Failure.BROKEN]])
def test_after_a_failure(
    steps: list[Any], api: Api, body: dict[str, Any], script: Script, rows: Rows
) -> None:
    """A message whose reply failed may be sent again, and is there once."""
    script.steps = steps
    api.error(api.post(URL, body), 502, "CHAT_003")
    script.steps = ["好的"]
    assert api.data(api.post(URL, body))["response"] == "好的"
    # What was said before the message is its prompt: not itself, nor its broken reply.
    assert [said["content"] for said in script.asks[-1].messages] == ["你好"]
    roles = [row.role for row in rows(ChatMessage, body["tenant_id"])]
    assert roles.count("user") == 1
    assert [row.status for row in rows(UsageRecord, body["tenant_id"])] == ["failed", "completed"]
    assert api.data(api.post(URL, body))["response"] == "好的"


def test_another_message(api: Api, body: dict[str, Any], script: Script) -> None:
    """The same message_id with other words is 422 IDEMPOTENCY_001."""
    api.data(api.post(URL, body))
    refused = api.post(URL, {**body, "message": "再见"})
    api.error(refused, 422, "IDEMPOTENCY_001")
    assert len(script.asks) == 1


def test_a_retry_takes_no_quota(api: Api, script: Script) -> None:
    """A retry that is answered from what is stored counts against no limit."""
    quotas = {"quotas": {"requests_per_minute": 1}}
    agent = factories.agent(api, factories.tenant(api, tenant_config=quotas)["id"])
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "message": "x"}
    for _ in range(3):
        assert api.post(URL, {**ids, "message_id": "m"}).status_code == 200
    api.error(api.post(URL, {**ids, "message_id": "n"}), 429, "RATE_001")
