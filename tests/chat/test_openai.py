"""/v1 as OpenAI's own client has it: a base_url, a key, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from maimconfig.providers.types import Failure
from tests import factories
from tests.api import Api
from tests.chat.script import Script
from tests.contract.harness import MASTER_SECRET, Remote
from tests.servers.faulty_provider import FaultyProvider, answer, cut, status
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE

HELLO: Any = [{"role": "user", "content": "你好"}]


@pytest.fixture(scope="module")
def provider() -> Iterator[FaultyProvider]:
    """The operator's provider, on loopback."""
    with FaultyProvider() as started:
        yield started


@pytest.fixture(scope="module")
def started(
    migrated_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., LiveService]]:
    """Starts a service of the module with further variables."""
    with contextlib.ExitStack() as ends:

        def start(**env: str) -> LiveService:
            folder = Path(tmp_path_factory.mktemp("service"))
            env["MAIMCONFIG_SECRET_KEY"] = MASTER_SECRET
            service = LiveService(folder, migrated_database_url, env=env)
            ends.callback(service.close)
            return service

        yield start


@pytest.fixture(scope="module")
def offline(started: Callable[..., LiveService]) -> LiveService:
    """A service without any provider."""
    return started()


@pytest.fixture(scope="module")
def online(started: Callable[..., LiveService], provider: FaultyProvider) -> LiveService:
    """A service whose operator has a provider."""
    return started(OPENAI_API_KEY="sk-operator", OPENAI_BASE_URL=provider.base_url)


@contextlib.contextmanager
def client_of(
    service: LiveService, key: dict[str, Any] | None = None, **options: Any
) -> Iterator[tuple[OpenAI, dict[str, Any]]]:
    """OpenAI's client with the key of an agent of its own, and what is known of that key."""
    if key is None:
        with Remote(service.internal) as caller:
            key = caller.key(permissions=["chat"], **options)
    url = f"{service.public}/v1"
    with OpenAI(api_key=key["api_key"], base_url=url, max_retries=0, timeout=PATIENCE) as client:
        yield client, key


# --- without a provider ------------------------------------------------------------------------


def test_models(offline: LiveService) -> None:
    """The key's agent is the one model that there is, by its id and by its name."""
    with client_of(offline) as (client, key):
        (model,) = client.models.list()
        assert (model.id, model.object, model.owned_by) == (
            key["agent_id"], "model", key["tenant_id"],
        )  # fmt: skip
        assert client.models.retrieve(key["agent_id"]) == model
        assert client.models.retrieve("agent") == model


@pytest.mark.parametrize("by", ["id", "name"])
def test_chat(offline: LiveService, by: str) -> None:
    """A chat is answered, and says what it used and who answered."""
    with client_of(offline) as (client, key):
        model = key["agent_id"] if by == "id" else "agent"
        found = client.chat.completions.create(model=model, messages=HELLO)
    (choice,) = found.choices
    assert choice.message.content == "agent: 你好"
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "stop")
    assert (found.object, found.model) == ("chat.completion", model)
    assert found.system_fingerprint == "builtin/offline"
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0


def test_stream(offline: LiveService) -> None:
    """A stream has the text in chunks, then why it ended, then what it used."""
    with client_of(offline) as (client, key):
        chunks = list(
            client.chat.completions.create(
                model=key["agent_id"],
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    *told, last, usage = chunks
    assert told[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in told) == "agent: 你好"
    assert {chunk.choices[0].finish_reason for chunk in told} == {None}
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage.completion_tokens > 0
    assert {chunk.id for chunk in chunks} == {usage.id}
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_stream_without_usage(offline: LiveService) -> None:
    """Usage is in a stream only for who asks for it."""
    with client_of(offline) as (client, key):
        chunks = list(
            client.chat.completions.create(model=key["agent_id"], messages=HELLO, stream=True)
        )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("api_key", ["sk-bad", "mmc_bad", "mmc_" + "A" * 80])
def test_bad_key(offline: LiveService, api_key: str) -> None:
    """Whatever isn't a key is an AuthenticationError, on every operation."""
    with client_of(offline, {"api_key": api_key}) as (client, _):
        for call in (
            lambda: client.models.list(),
            lambda: client.models.retrieve("x"),
            lambda: client.chat.completions.create(model="x", messages=[]),
        ):
            with pytest.raises(openai.AuthenticationError) as refused:
                call()
            assert refused.value.code == "invalid_api_key"
            assert refused.value.type == "invalid_request_error"


def test_unknown_model(offline: LiveService) -> None:
    """A model that isn't the key's agent, be it another agent of anybody, is a NotFoundError."""
    with client_of(offline) as (client, _), client_of(offline) as (_, other):
        for model in ("gpt-4o", other["agent_id"], "Agent", "a/b", "agent "):
            with pytest.raises(openai.NotFoundError) as refused:
                client.chat.completions.create(model=model, messages=HELLO)
            assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.NotFoundError) as refused:
            client.models.retrieve(other["agent_id"])
        assert refused.value.code == "model_not_found"


def test_limited_key(offline: LiveService) -> None:
    """A key that is over its limit is a RateLimitError that says when to come back."""
    limit = {"limit": 1, "window_seconds": 60}
    with client_of(offline, rate_limit=limit) as (client, _):
        client.models.list()
        with pytest.raises(openai.RateLimitError) as refused:
            client.models.list()
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.type == "rate_limit_error"
    assert int(refused.value.response.headers["Retry-After"]) > 0


def test_quota(offline: LiveService) -> None:
    """A tenant whose month is used up is a RateLimitError of the type insufficient_quota."""
    with client_of(offline) as (client, key), Remote(offline.internal) as caller:
        config = {"tenant_config": {"quotas": {"tokens_per_month": 1}}}
        caller.data("PUT", f"/api/v2/tenants/{key['tenant_id']}", config)
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as refused:
                client.chat.completions.create(model=key["agent_id"], messages=HELLO, stream=stream)
            assert refused.value.code == refused.value.type == "insufficient_quota"


def test_forbidden(offline: LiveService) -> None:
    """A key without the permission `chat` is a PermissionDeniedError."""
    with Remote(offline.internal) as caller:
        key = caller.key(permissions=["config_read"])
    with client_of(offline, key) as (client, _), pytest.raises(openai.PermissionDeniedError) as no:
        client.models.list()
    assert no.value.code == "AUTH_003"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": [1]}]}, "messages.0.content", "invalid_value"),
    ({"temperature": 2.1}, "temperature", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid_value"),
    ({"top_p": -0.1}, "top_p", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_value"),
    ({"stop": [1]}, "stop", "invalid_value"),
    ({"n": 2}, "n", "invalid_value"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "invalid_value"),
]


@pytest.mark.parametrize(("given", "param", "code"), WRONG, ids=lambda part: str(part)[:40])
def test_wrong(offline: LiveService, given: dict[str, Any], param: str, code: str) -> None:
    """What is wrong with a request is a BadRequestError that names the parameter."""
    body = {"messages": HELLO, **given}
    with client_of(offline) as (client, key), pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=key["agent_id"], **body)
    assert (refused.value.param, refused.value.code) == (param, code)


def test_english(offline: LiveService) -> None:
    """Messages are English for who prefers that."""
    with client_of(offline) as (client, _), pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-4o", extra_headers={"Accept-Language": "en"})
    assert "The model `gpt-4o` does not exist" in refused.value.message


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/v1", 404), ("POST", "/v1/embeddings", 404), ("DELETE", "/v1/models", 405)],
)
def test_other_paths(offline: LiveService, method: str, path: str, expected: int) -> None:
    """Paths and methods below /v1 that there aren't are refused in the same shape."""
    for plane in (offline.public, offline.internal):
        refused = httpx.request(method, f"{plane}{path}")
        assert refused.status_code == expected
        assert set(refused.json()) == {"error"}
        assert refused.json()["error"]["type"] == "invalid_request_error"


def test_on_the_internal_plane(offline: LiveService) -> None:
    """The internal plane serves it too, to who shows a key."""
    with client_of(offline) as (client, key):
        inside = client.with_options(base_url=f"{offline.internal}/v1")
        assert key["agent_id"] in {model.id for model in inside.models.list()}
        found = inside.chat.completions.create(model=key["agent_id"], messages=HELLO)
        assert found.choices[0].message.content
        for wrong in ("mmc_none", "no key"):
            with pytest.raises(openai.AuthenticationError):
                inside.with_options(api_key=wrong).models.list()


# --- with a provider ---------------------------------------------------------------------------


def test_asks_the_provider(online: LiveService, provider: FaultyProvider) -> None:
    """The provider gets the conversation and what is passed on, and its answer comes back."""
    provider.script(answer("Paris.", usage=(21, 2), finish_reason="length"))
    messages: Any = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Capital of France?"}]},
    ]
    with client_of(online) as (client, key):
        found = client.chat.completions.create(
            model=key["agent_id"],
            messages=messages,
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            seed=7,
            max_completion_tokens=64,
            user="somebody",
            logprobs=True,
            service_tier="priority",
            extra_body={"enable_search": True},
        )
    assert found.choices[0].message.content == "Paris."
    assert found.choices[0].finish_reason == "length"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (21, 2)
    asked = provider.requests[-1].body
    assert asked["messages"][-2:] == [{"role": "system", "content": "Be brief."}, messages[1]]
    passed = {name: asked[name] for name in ("top_p", "stop", "seed", "max_tokens")}
    assert passed == {"top_p": 0.9, "stop": ["END"], "seed": 7, "max_tokens": 64}
    assert not {"user", "logprobs", "service_tier", "enable_search"} & set(asked)


def test_persona_in_front(online: LiveService, provider: FaultyProvider) -> None:
    """The agent's persona goes in front of the caller's own messages."""
    with client_of(online) as (client, key), Remote(online.internal) as caller:
        persona = {"persona": "你是一只猫。"}
        caller.data("PUT", f"/api/v2/agents/{key['agent_id']}", {"config": persona})
        client.chat.completions.create(model=key["agent_id"], messages=HELLO)
    first, *rest = provider.requests[-1].body["messages"]
    assert first["role"] == "system"
    assert "你是一只猫。" in first["content"]
    assert rest == HELLO


def test_streams_from_the_provider(online: LiveService, provider: FaultyProvider) -> None:
    """A provider's stream comes in its pieces, with the provider's own count of tokens."""
    provider.script(answer("Hello there!", usage=(12, 3), pieces=4))
    with client_of(online) as (client, key):
        chunks = list(
            client.chat.completions.create(
                model=key["agent_id"],
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["Hel", "lo ", "the", "re!"]
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (12, 3)


def test_refusing_provider(online: LiveService, provider: FaultyProvider) -> None:
    """A provider that refuses is an InternalServerError, without a word of what it said."""
    provider.script(status(400))
    with client_of(online) as (client, key), pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model=key["agent_id"], messages=HELLO)
    assert (failed.value.status_code, failed.value.type) == (502, "server_error")
    assert failed.value.code == "CHAT_003"
    assert "sk-operator" not in str(failed.value)


def test_broken_stream(online: LiveService, provider: FaultyProvider) -> None:
    """A stream that breaks after its beginning raises in the reader's loop."""
    provider.script(cut(after=2))
    read = []
    with client_of(online) as (client, key):
        stream = client.chat.completions.create(model=key["agent_id"], messages=HELLO, stream=True)
        with pytest.raises(openai.APIError) as failed:
            read.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "".join(read) == "Hello "
    assert (failed.value.type, failed.value.code) == ("server_error", "CHAT_003")


# --- in this process ---------------------------------------------------------------------------


def test_settled(api: Api, public: Api, script: Script, settled: Callable[[str], bool]) -> None:
    """Each reply is settled once, whole, failed or streamed, and gives its place back."""
    agent = factories.agent(api)
    key = factories.api_key(api, agent)
    headers = {"Authorization": f"Bearer {key['api_key']}"}
    body = {"model": agent["id"], "messages": HELLO}
    slots = public.app.extensions["tests.runtime"].reply_slots("public")
    path = "/v1/chat/completions"
    for steps, expected in ((["好"], 200), ([Failure.UNAVAILABLE], 502)):
        script.steps = steps
        assert public.post(path, body, headers=headers).status_code == expected
        streamed = public.post(path, {**body, "stream": True}, headers=headers)
        text = streamed.get_data(as_text=True)
        assert text.endswith("data: [DONE]\n\n") == (expected == 200)
        assert slots.taken == 0
        assert settled(agent["tenant_id"])
