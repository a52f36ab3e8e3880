"""POST /api/v2/chat/batch"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.chat.batch import SIDE_BY_SIDE
from maimconfig.providers.types import Failure
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import Script
from tests.serving.harness import eventually

URL = "/api/v2/chat/batch"


@pytest.fixture
def key(api: Api) -> dict[str, Any]:
    """A key that may chat."""
    return factories.api_key(api)


@pytest.mark.parametrize("bare", [False, True])
def test_order(bare: bool, public: Api, key: dict[str, Any]) -> None:
    """The results are in the order of the requests, of which 50 are taken; a bare list too."""
    requests = [
        {"message": f"{number}", "user_id": f"u{number}", "api_key": key["api_key"]}
        for number in range(50)
    ]
    found = public.data(public.post(URL, requests if bare else {"requests": requests}))
    assert [result["index"] for result in found["results"]] == list(range(50))
    assert all(result["success"] for result in found["results"])
    replies = [result["data"]["response"].rpartition(" ")[2] for result in found["results"]]
    assert replies == [f"{number}" for number in range(50)]
    assert found["summary"] == {"total": 50, "success": 50, "failed": 0}


@pytest.mark.parametrize("number", [0, 51])
def test_how_many(number: int, api: Api) -> None:
    """Too few and too many requests are told how many there may be."""
    refused = api.post(URL, [{"message": "x"}] * number, headers={"Accept-Language": "en"})
    details = api.error(refused, 422, "VALIDATION_ERROR")["details"]
    assert details == {"requests": ["Length must be between 1 and 50"]}


@pytest.mark.parametrize("requests", [[], [{"message": "x"}] * 51, [1], None, "x", [[]]])
def test_refused(requests: Any, public: Api) -> None:
    """None, more than 50, and what are no objects, is 422 as a whole."""
    for body in ({"requests": requests}, requests):
        if body is not None:
            public.error(public.post(URL, body), 422, "VALIDATION_ERROR")


def test_failures(api: Api, key: dict[str, Any]) -> None:
    """One that fails doesn't fail the others, and says what was wrong as it would alone."""
    good = {"message": "x", "api_key": key["api_key"]}
    requests = [
        good,
        {**good, "message": ""},
        {**good, "api_key": "x"},
        {"message": "x"},
        {**good, "agent_id": "agent_nope"},
        {**good, "unknown": 1},
        good,
    ]
    headers = {"Accept-Language": "en"}
    found = api.data(api.post(URL, {"requests": requests}, headers=headers))
    codes = [result.get("error_code") for result in found["results"]]
    assert codes == [
        None, "VALIDATION_ERROR", "AUTH_001", "VALIDATION_ERROR", "AGENT_001",
        "VALIDATION_ERROR", None,
    ]  # fmt: skip
    assert found["results"][1]["error"].startswith("message: ")
    assert found["summary"] == {"total": 7, "success": 2, "failed": 5}


def test_key_in_a_header(api: Api, public: Api, key: dict[str, Any]) -> None:
    """The header's key is for those that bring none of their own."""
    own = factories.api_key(api)
    headers = {"X-API-Key": key["api_key"]}
    requests = [{"message": "x"}, {"message": "x", "api_key": own["api_key"]}]
    found = public.data(public.post(URL, {"requests": requests}, headers=headers))
    agents = [result["data"]["agent_id"] for result in found["results"]]
    assert agents == [key["agent_id"], own["agent_id"]]


def test_nobody(public: Api, key: dict[str, Any]) -> None:
    """On the public plane ids are not enough in a batch either."""
    ids = {"tenant_id": key["tenant_id"], "agent_id": key["agent_id"], "message": "x"}
    found = public.data(public.post(URL, {"requests": [ids]}))
    assert found["results"][0]["error_code"] == "AUTH_006"


def test_providers_failures(
    api: Api, key: dict[str, Any], script: Script, rows: Callable[..., list[Any]]
) -> None:
    """Replies that fail are told one by one, each with its usage row."""
    script.steps = [Failure.CONNECT]
    requests = [{"message": "x", "api_key": key["api_key"]}] * 3
    found = api.data(api.post(URL, {"requests": requests}))
    assert [result["error_code"] for result in found["results"]] == ["CHAT_003"] * 3
    assert len(rows(UsageRecord, key["tenant_id"])) == 3


def test_side_by_side(api: Api, key: dict[str, Any], script: Script) -> None:
    """They are made side by side, up to a limit; a wish to stream is no matter."""
    gate = threading.Event()
    script.steps = [gate, "好的"]
    requests = [
        {"message": "x", "api_key": key["api_key"], "stream": True} for _ in range(SIDE_BY_SIDE + 4)
    ]
    together = threading.Thread(
        target=lambda: (eventually(lambda: len(script.asks) == SIDE_BY_SIDE), gate.set())
    )
    together.start()
    found = api.data(api.post(URL, {"requests": requests}))
    together.join()
    assert found["summary"]["success"] == len(requests)
    assert not any(ask.stream for ask in script.asks)


def test_surprise(
    api: Api, key: dict[str, Any], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody expected fails its one request, as SYS_001."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(script, "start", broken)
    requests = [{"message": "x", "api_key": key["api_key"]}, {"message": "", "user_id": "u"}]
    found = api.data(api.post(URL, {"requests": requests}))
    assert [result["error_code"] for result in found["results"]] == ["SYS_001", "VALIDATION_ERROR"]
