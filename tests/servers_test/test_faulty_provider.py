"""The provider of the tests does what a test asks it to."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import FaultyProvider


def ask(provider: FaultyProvider, key: str = "sk-1", **body: object) -> httpx.Response:
    """One request, past any proxy."""
    with httpx.Client(trust_env=False) as client:
        return client.post(
            f"{provider.base_url}/chat/completions",
            headers={"Authorization": f"Bearer {key}"},
            json={"model": "m", "messages": [], **body},
        )


def test_answers_and_records() -> None:
    """It answers whole or as a stream, and keeps what was asked."""
    with FaultyProvider() as provider:
        assert ask(provider).json()["choices"][0]["message"]["content"] == "Hello there!"
        assert ask(provider, stream=True).text.endswith("data: [DONE]\n\n")
    assert [request.stream for request in provider.requests] == [False, True]
    assert provider.asked() == ["sk-1", "sk-1"]
    assert provider.requests[0].path == "/v1/chat/completions"


def test_order() -> None:
    """A key goes before a model, a model before the script, the script before the default."""
    with FaultyProvider(faulty.status(500)) as provider:
        provider.by_key["sk-bad"] = faulty.status(401)
        provider.by_model["m-2"] = faulty.status(503)
        statuses = [
            ask(provider, "sk-bad", model="m-2").status_code,
            ask(provider, model="m-2").status_code,
            ask(provider).status_code,
            ask(provider).status_code,
        ]
    assert statuses == [401, 503, 500, 200]


def test_cut() -> None:
    """A cut stream ends in the middle, for its client an error."""
    with (
        FaultyProvider(faulty.cut(after=1)) as provider,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        ask(provider, stream=True)


def test_close_is_noticed() -> None:
    """It tells when a client went away while it was silent."""
    with FaultyProvider(faulty.silent()) as provider:
        with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ReadTimeout):
            client.post(f"{provider.base_url}/chat/completions", json={}, timeout=0.2)
        assert provider.requests[0].wait_closed(2) <= time.monotonic()
