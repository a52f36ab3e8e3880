"""A reply as server-sent events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from maimconfig.chat import event_stream
from maimconfig.chat.models import ChatMessage
from maimconfig.providers.types import Failure
from maimconfig.runtime import Runtime
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import Script

URL = "/api/v2/chat"
Rows = Callable[..., list[Any]]


@pytest.fixture
def body(api: Api) -> dict[str, Any]:
    """A message whose reply is wanted as it comes."""
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    return {**ids, "message": "你好", "user_id": "u", "stream": True}


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, by name, and its comments as `:`."""
    found = []
    for block in text.split("\n\n")[:-1]:
        if block.startswith(":"):
            found.append((":", None))
            continue
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def opened(api: Api, body: dict[str, Any], **environ: Any) -> tuple[TestResponse, Iterator[bytes]]:
    """A stream that is read piece by piece."""
    answer = api.client.post(URL, json=body, buffered=False, environ_overrides=environ)
    assert answer.status_code == 200
    return answer, iter(answer.response)


def no_place_taken(runtime: Runtime) -> bool:
    """Whether all places for replies are free."""
    return runtime.reply_slots("internal").taken == 0


def test_events(
    api: Api, body: dict[str, Any], script: Script, runtime: Runtime,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """message.start, a message.delta for each piece, message.end with the whole answer."""
    script.steps = ["今天\n\n", "很好"]
    answer = api.post(URL, body)
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers
    start, *deltas, end = events(answer.get_data(as_text=True))
    assert start[0] == "message.start"
    assert deltas == [
        ("message.delta", {"content": "今天\n\n"}),
        ("message.delta", {"content": "很好"}),
    ]
    assert end[0] == "message.end"
    assert end[1]["response"] == "今天\n\n很好"
    assert start[1] == {name: end[1][name] for name in start[1]}
    plain = api.data(api.post(URL, {**body, "stream": False}))
    assert set(end[1]) == set(plain)
    assert script.asks[0].stream
    assert not script.asks[1].stream
    assert settled(body["tenant_id"])
    assert no_place_taken(runtime)


def test_refused_before_it_begins(api: Api, body: dict[str, Any], script: Script) -> None:
    """What is refused before a provider is asked is an ordinary error."""
    api.error(api.post(URL, {**body, "message": ""}), 422, "VALIDATION_ERROR")
    api.error(api.post(URL, {**body, "agent_id": "agent_nope"}), 404, "AGENT_001")


@pytest.mark.parametrize(
    ("steps", "code", "kept"),
    [
        ([Failure.CONNECT], "CHAT_003", []),
        (["前半", Failure.BROKEN], "CHAT_003", [("assistant", "partial", "前半")]),
        (["前半", Failure.DEADLINE], "CHAT_004", [("assistant", "partial", "前半")]),
    ],
)
def test_failed(
    steps: list[Any], code: str, kept: list[Any], api: Api, body: dict[str, Any], script: Script,
    rows: Rows, settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """A stream that breaks ends with an error event; its text is kept, marked as partial."""
    script.steps = steps
    answer = api.post(URL, body, headers={"Accept-Language": "en"})
    name, told = events(answer.get_data(as_text=True))[-1]
    assert (name, told["error_code"], told["success"]) == ("error", code, False)
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert told["message"].isascii()
    said, *replies = rows(ChatMessage, body["tenant_id"])
    assert said.state == "failed"
    assert [(row.role, row.state, row.content) for row in replies] == kept
    assert all(row.id == told["message_id"] for row in replies)
    (used,) = rows(UsageRecord, body["tenant_id"])
    assert used.status == "failed"
    assert settled(body["tenant_id"])


@pytest.mark.parametrize("pieces", [0, 1, 2, 3])
def test_reader_that_leaves(
    pieces: int, api: Api, body: dict[str, Any], script: Script, rows: Rows, runtime: Runtime,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """A stream that is closed, even before its first event, ends the provider's call at once; what
    was produced is kept and billed."""
    script.steps = ["一", "二", threading.Event(), "三"]
    answer, stream = opened(api, body)
    for _ in range(pieces):
        next(stream)
    answer.close()
    assert script.cancelled == 1
    (used,) = rows(UsageRecord, body["tenant_id"])
    assert used.status == "aborted"
    text = "一二"[: max(0, pieces - 1)]
    replies = [row.content for row in rows(ChatMessage, body["tenant_id"])[1:]]
    assert replies == ([text] if text else [])
    assert settled(body["tenant_id"])
    assert no_place_taken(runtime)


def test_reader_that_leaves_a_silent_stream(
    api: Api, body: dict[str, Any], script: Script, rows: Rows, settled: Callable[[str], bool]
) -> None:
    """While the provider is silent the server is asked whether the reader is there still."""
    script.steps = ["一", threading.Event()]
    gone = threading.Event()
    answer, stream = opened(api, body, **{"waitress.client_disconnected": gone.is_set})
    assert b"message.start" in next(stream)
    assert b"message.delta" in next(stream)
    threading.Timer(0.3, gone.set).start()
    began = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - began < 2
    answer.close()
    assert script.cancelled == 1
    (used,) = rows(UsageRecord, body["tenant_id"])
    assert (used.status, used.tokens_out) == ("aborted", 1)
    assert settled(body["tenant_id"])


def test_comments(
    api: Api, body: dict[str, Any], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent stream says something now and then, that no reader takes for an event."""
    monkeypatch.setattr(event_stream, "COMMENT_SECONDS", 0.2)
    monkeypatch.setattr(event_stream, "LOOK_SECONDS", 0.05)
    gate = threading.Event()
    script.steps = [gate, "好的"]
    threading.Timer(0.7, gate.set).start()
    told = [name for name, _ in events(api.post(URL, body).get_data(as_text=True))]
    assert 2 <= told.count(":") <= 4
    assert [name for name in told if name != ":"] == [
        "message.start", "message.delta", "message.end",
    ]  # fmt: skip


def test_surprise(
    api: Api, body: dict[str, Any], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in the middle, the stream ends with an error event."""
    script.steps = ["一", threading.Event()]
    answer, stream = opened(api, body)
    next(stream)
    next(stream)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("maimconfig.chat.running.RunningReply.next", broken)
    (last,) = list(stream)
    monkeypatch.undo()
    assert events(last.decode())[0][1]["error_code"] == "SYS_001"
    answer.close()


def test_streams_have_an_end(api_with: Callable[..., Api], api: Api) -> None:
    """Streams past the most replies at once are 503 at once; one that ends gives its place back."""
    made = api_with(chat_replies=2)
    running = made.app.extensions["tests.runtime"]
    script = Script([threading.Event()])
    running.providers = script
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    given = {**ids, "message": "x", "stream": True}
    streams = [opened(made, given)[0] for _ in range(2)]
    refused = made.post(URL, given)
    made.error(refused, 503, "SYS_005")
    assert refused.headers["Retry-After"]
    streams[0].close()
    opened(made, given)[0].close()
    streams[1].close()
    assert running.reply_slots("internal").taken == 0
