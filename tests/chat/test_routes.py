"""/api/v2/chat: an agent answers a message."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from maimconfig.chat.models import ChatMessage, PendingReply
from maimconfig.providers.types import Failure
from maimconfig.runtime import Runtime
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import TOKENS_IN, Script

URL = "/api/v2/chat"
Rows = Callable[..., list[Any]]


def test_flow_without_provider(api: Api, rows: Rows) -> None:
    """Tenant, agent, key, chat: with no provider the built-in one answers, and says so."""
    agent = factories.agent(api, config={"bot_overrides": {"nickname": "小麦"}})
    key = factories.api_key(api, agent)
    body = {"api_key": key["api_key"], "message": "你好", "conversation_id": "c", "user_id": "u"}
    answer = api.data(api.post(URL, body))
    assert answer["response"] == "小麦: 你好"
    assert answer["model"] == "builtin/offline"
    assert (answer["conversation_id"], answer["chat_identifier"]) == ("c", "c")
    assert (answer["platform"], answer["agent_type"]) == ("default", "ai")
    assert (answer["tenant_id"], answer["agent_id"]) == (agent["tenant_id"], agent["id"])
    assert answer["usage"]["cost"] == "0"
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.status, used.model, used.provider) == ("completed", "builtin/offline", None)


def test_answer(api: Api, script: Script, rows: Rows, settled: Callable[[str], bool]) -> None:
    """A provider's answer comes with its model and cost, and is kept with its usage."""
    script.steps = ["今天", "很好"]
    key = factories.api_key(api)
    headers = {"X-Request-ID": "req_of_the_caller"}
    body = {"api_key": key["api_key"], "message": "你好", "user_id": "u", "metadata": {"a": [1]}}
    answer = api.data(api.post(URL, body, headers=headers))
    assert (answer["response"], answer["model"]) == ("今天很好", "script")
    cost = (Decimal(2) * TOKENS_IN + Decimal(6) * 4) / 1_000_000
    assert answer["usage"] == {
        "prompt_tokens": TOKENS_IN,
        "completion_tokens": 4,
        "total_tokens": TOKENS_IN + 4,
        "cost": f"{cost:f}",
    }
    assert answer["metadata"] == {"a": [1]}
    (used,) = rows(UsageRecord, key["tenant_id"])
    assert (used.api_key_id, used.agent_id, used.user_id) == (key["id"], key["agent_id"], "u")
    assert (used.request_id, used.provider, used.cost) == ("req_of_the_caller", "stage", cost)
    assert (used.action, used.status, used.is_error, used.estimated) == (
        "chat", "completed", False, False,
    )  # fmt: skip
    assert used.latency_ms >= 0
    assert used.details["message_id"] == answer["message_id"]
    assert used.details["attempts"][0]["provider"] == "stage"
    said, reply = rows(ChatMessage, key["tenant_id"])
    assert [(said.seq, said.role, said.state), (reply.seq, reply.role, reply.state)] == [
        (1, "user", "complete"),
        (2, "assistant", "complete"),
    ]
    assert (reply.id, reply.reply_to, reply.content) == (answer["message_id"], said.id, "今天很好")
    assert settled(key["tenant_id"])


class TestIdentity:
    """Who may ask, and how a key is shown."""

    @pytest.fixture
    def key(self, api: Api) -> dict[str, Any]:
        """A key that may chat."""
        return factories.api_key(api)

    @pytest.mark.parametrize("way", ["body", "bearer", "header"])
    def test_key(self, way: str, api: Api, public: Api, key: dict[str, Any]) -> None:
        """A key is taken from the body, as bearer token and as X-API-Key, on both planes."""
        text = key["api_key"]
        body, headers = {"message": "x", "user_id": "u"}, {}
        if way == "body":
            body["api_key"] = text
        else:
            bearer = {"Authorization": f"Bearer {text}"}
            headers = bearer if way == "bearer" else {"X-API-Key": text}
        for plane in (api, public):
            answer = plane.data(plane.post(URL, body, headers=headers))
            assert answer["agent_id"] == key["agent_id"]

    def test_ids_are_enough_inside(self, api: Api, public: Api, key: dict[str, Any]) -> None:
        """tenant_id and agent_id do on the internal plane, and are nothing on the public one."""
        ids = {"tenant_id": key["tenant_id"], "agent_id": key["agent_id"]}
        body = {**ids, "message": "x"}
        assert api.data(api.post(URL, body))["agent_id"] == key["agent_id"]
        answer = public.post(URL, body)
        public.error(answer, 401, "AUTH_006")
        assert answer.headers["WWW-Authenticate"]
        jwt = public.post(URL, body, headers={"Authorization": "Bearer ey.not.akey"})
        public.error(jwt, 401, "AUTH_006")

    @pytest.mark.parametrize("missing", ["tenant_id", "agent_id"])
    def test_half_an_identity(self, missing: str, api: Api, key: dict[str, Any]) -> None:
        """Without a key both ids are needed."""
        ids = {"tenant_id": key["tenant_id"], "agent_id": key["agent_id"], "message": "x"}
        del ids[missing]
        refused = api.error(api.post(URL, ids), 422, "VALIDATION_ERROR")
        assert list(refused["details"]) == [missing]

    def test_permission(self, api: Api, rows: Rows) -> None:
        """A key without the permission `chat` is 403 AUTH_003, and isn't counted."""
        key = factories.api_key(api, permissions=["config_read"])
        body = {"api_key": key["api_key"], "message": "x"}
        api.error(api.post(URL, body), 403, "AUTH_003")
        assert rows(ChatMessage, key["tenant_id"]) == rows(UsageRecord, key["tenant_id"]) == []
        assert api.app.extensions["tests.runtime"].key_usage._counts.get(key["id"]) is None

    def test_group_of_permissions(self, api: Api, key: dict[str, Any]) -> None:
        """A permission group of the tenant that has `chat` will do."""
        groups = {"groups": {"support": ["chat"]}}
        api.data(api.put(f"/api/v2/tenants/{key['tenant_id']}/permission-groups", groups))
        owner = {"tenant_id": key["tenant_id"], "id": key["agent_id"]}
        other = factories.api_key(api, owner, permissions=["support"])
        assert api.post(URL, {"api_key": other["api_key"], "message": "x"}).status_code == 200

    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ("disable", 401, "AUTH_004"),
            ("delete", 401, "AUTH_005"),
            ("tenant", 403, "TENANT_003"),
            ("agent", 403, "AGENT_005"),
            ("address", 403, "AUTH_009"),
        ],
    )
    def test_refused_keys(
        self, change: str, status: int, code: str, api: Api, key: dict[str, Any]
    ) -> None:
        """What a key check refuses doesn't chat, with the same code."""
        path = f"/api/v2/api-keys/{key['id']}"
        {
            "disable": lambda: api.post(f"{path}/disable"),
            "delete": lambda: api.delete(path),
            "tenant": lambda: api.put(
                f"/api/v2/tenants/{key['tenant_id']}", {"status": "suspended"}
            ),
            "agent": lambda: api.put(f"/api/v2/agents/{key['agent_id']}", {"status": "archived"}),
            "address": lambda: api.put(path, {"allowed_ips": ["10.9.8.7"]}),
        }[change]()
        api.error(api.post(URL, {"api_key": key["api_key"], "message": "x"}), status, code)

    @pytest.mark.parametrize(
        ("path", "change", "code"),
        [
            ("/api/v2/tenants/{tenant_id}", "inactive", "TENANT_003"),
            ("/api/v2/agents/{agent_id}", "inactive", "AGENT_005"),
        ],
    )
    def test_inactive(
        self, path: str, change: str, code: str, api: Api, key: dict[str, Any]
    ) -> None:
        """By ids too, the agents of a tenant that isn't active don't chat, nor inactive agents."""
        api.data(api.put(path.format(**key), {"status": change}))
        ids = {"tenant_id": key["tenant_id"], "agent_id": key["agent_id"]}
        api.error(api.post(URL, {**ids, "message": "x"}), 403, code)

    def test_malformed_key(self, public: Api) -> None:
        """A key that is none is 400 AUTH_001, an unknown one 401 AUTH_005."""
        public.error(public.post(URL, {"api_key": "x", "message": "x"}), 400, "AUTH_001")
        unknown = "mmc_tenant_1_agent_1_0123456789abcdef0123456789abcdef_v1"
        public.error(public.post(URL, {"api_key": unknown, "message": "x"}), 401, "AUTH_005")

    @pytest.mark.parametrize("name", ["tenant_id", "agent_id"])
    def test_key_of_another(self, name: str, api: Api, key: dict[str, Any]) -> None:
        """Ids beside a key may only repeat what it says."""
        other = factories.api_key(api)
        body = {"api_key": key["api_key"], "message": "x"}
        api.error(api.post(URL, {**body, name: other[name]}), 404, "AGENT_001")
        assert api.post(URL, {**body, name: key[name]}).status_code == 200

    def test_rate_limit_of_the_key(self, api: Api) -> None:
        """A key's rate limit counts for chats, and tells what is left."""
        key = factories.api_key(api, rate_limit={"limit": 1, "window_seconds": 3600})
        body = {"api_key": key["api_key"], "message": "x"}
        first = api.post(URL, body)
        assert (first.status_code, first.headers["RateLimit-Remaining"]) == (200, "0")
        second = api.post(URL, body)
        api.error(second, 429, "RATE_001")
        assert second.headers["Retry-After"]
        assert second.headers["RateLimit-Limit"] == "1"


class TestMessages:
    """What may be said."""

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"message": ""}, "message"),
            ({"message": "x" * 20_001}, "message"),
            ({"message": None}, "message"),
            ({"message": "x", "platform": "x" * 51}, "platform"),
            ({"message": "x", "user_id": " "}, "user_id"),
            ({"message": "x", "conversation_id": "x" * 201}, "conversation_id"),
            ({"message": "x", "stream": "true"}, "stream"),
            ({"message": "x", "metadata": []}, "metadata"),
            ({"message": "x", "mesage": "x"}, "mesage"),
        ],
    )
    def test_refused(self, given: dict[str, Any], path: str, api: Api) -> None:
        """A field that can't be is 422 with its path."""
        refused = api.error(api.post(URL, given), 422, "VALIDATION_ERROR")
        assert path in refused["details"]

    def test_longest(self, api: Api, rows: Rows) -> None:
        """A message of 20000 characters of any kind is kept as it is."""
        agent = factories.agent(api)
        message = "😀" * 19_999 + " "
        factories.chat(api, agent, message)
        assert rows(ChatMessage, agent["tenant_id"])[0].content == message

    def test_content_filter(self, api: Api, script: Script, rows: Rows) -> None:
        """A banned message is 422 CHAT_002 before anything is kept, asked or spent."""
        rules = {"ban_words": ["广告"], "ban_msgs_regex": ["^http"]}
        agent = factories.agent(api, config={"config_overrides": {"message_receive": rules}})
        ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
        for message in ("卖广告", "http://x"):
            api.error(api.post(URL, {**ids, "message": message}), 422, "CHAT_002")
        assert script.asks == []
        for table in (ChatMessage, UsageRecord, PendingReply):
            assert rows(table, agent["tenant_id"]) == []


class TestPrompt:
    """What the provider is asked with."""

    def test_history(self, api: Api, script: Script) -> None:
        """The last max_context_size messages of the stream are in the prompt, the oldest first."""
        config = {"persona": "你是猫", "config_overrides": {"chat": {"max_context_size": 3}}}
        agent = factories.agent(api, config=config)
        for message in ("一", "二", "三"):
            factories.chat(api, agent, message, user_id="u")
        assert [message["content"] for message in script.asks[-1].messages] == [
            "你是猫", "好的", "二", "好的", "三",
        ]  # fmt: skip

    def test_long_history(self, api: Api, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
        """A long history is read in pieces, to its end or to what any model reads."""
        config = {"config_overrides": {"chat": {"max_context_size": 1000}}}
        agent = factories.agent(api, config=config)
        for number in range(30):
            factories.chat(api, agent, f"{number}", user_id="u")
        monkeypatch.setattr("maimconfig.chat.streams.PIECE", 7)
        factories.chat(api, agent, "x", user_id="u")
        said = [message["content"] for message in script.asks[-1].messages]
        assert said[::2] == [*(f"{number}" for number in range(30)), "x"]
        assert len(said) == 61
        monkeypatch.setattr("maimconfig.chat.streams.MAX_HISTORY", 8)
        factories.chat(api, agent, "y", user_id="u")
        assert [message["content"] for message in script.asks[-1].messages] == [
            "29", "好的", "x", "好的", "y",
        ]  # fmt: skip

    def test_no_more_than_asked(self, api: Api, script: Script) -> None:
        """The task's settings and the reply's time-out are the agent's."""
        config = {
            "config_overrides": {
                "chat": {"response_timeout": 77},
                "model": {"model_task_config": {"replyer": {"max_tokens": 55, "temperature": 1.5}}},
            }
        }
        factories.chat(api, factories.agent(api, config=config))
        ask = script.asks[0]
        assert (ask.max_tokens, ask.temperature, ask.timeout) == (55, 1.5, 77)

    def test_defaults(self, api: Api, script: Script) -> None:
        """Without settings a reply has 1024 tokens and 30 seconds."""
        factories.chat(api, factories.agent(api))
        assert (script.asks[0].max_tokens, script.asks[0].timeout) == (1024, 30)

    @pytest.mark.parametrize("shown", [True, False])
    def test_shown(self, shown: bool, api: Api, script: Script) -> None:
        """debug.show_prompt puts the prompt into the metadata, beside the caller's own."""
        config = {"persona": "你是猫", "config_overrides": {"debug": {"show_prompt": shown}}}
        answer = factories.chat(api, factories.agent(api, config=config), metadata={"a": 1})
        prompt = [{"role": "system", "content": "你是猫"}, {"role": "user", "content": "你好"}]
        assert answer["metadata"] == ({"a": 1, "prompt": prompt} if shown else {"a": 1})

    def test_template(self, api: Api, script: Script) -> None:
        """A template's configuration lies below the agent's."""
        template = factories.template(api, config={"persona": "模板的性格"})
        factories.chat(api, factories.agent(api, template_id=template["id"]))
        assert script.asks[0].messages[0]["content"] == "模板的性格"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Failure.CONNECT, 502, "CHAT_003"),
        (Failure.TIMEOUT, 502, "CHAT_003"),
        (Failure.EMPTY, 502, "CHAT_003"),
        (Failure.DEADLINE, 504, "CHAT_004"),
    ],
)
def test_failures(
    failure: Failure,
    status: int,
    code: str,
    api: Api,
    script: Script,
    rows: Rows,
    settled: Callable[[str], bool],
) -> None:
    """A reply that fails is 502 or 504, its usage row says why, and the message stays."""
    script.steps = [failure]
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    api.error(api.post(URL, {**ids, "message": "x"}), status, code)
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.status, used.is_error, used.details["failure"]) == (
        "failed", True, failure.value,
    )  # fmt: skip
    (said,) = rows(ChatMessage, agent["tenant_id"])
    assert (said.role, said.state) == ("user", "failed")
    assert settled(agent["tenant_id"])


def test_retry_after_of_the_provider(api: Api, script: Script) -> None:
    """When all providers are rate-limited, the caller is told when to come again."""
    script.steps = [Failure.RATE_LIMITED]
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    answer = api.post(URL, {**ids, "message": "x"})
    api.error(answer, 502, "CHAT_003")
    assert answer.headers["Retry-After"] == "9"


def test_provider_that_can_not_begin(
    api: Api, script: Script, rows: Rows, monkeypatch: pytest.MonkeyPatch,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """Even when asking itself breaks, the reservation is settled and the row is there."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(script, "start", broken)
    agent = factories.agent(api)
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    api.error(api.post(URL, {**ids, "message": "x"}), 500, "SYS_001")
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert used.status == "failed"
    assert settled(agent["tenant_id"])


def test_text_that_no_database_takes(api: Api, script: Script) -> None:
    """NUL and lone surrogates of a provider are left out, and break nothing."""
    script.steps = ["a\0b", "\ud800c"]
    assert factories.chat(api, factories.agent(api))["response"] == "ab?c"


def test_gone_meanwhile(api: Api, runtime: Runtime, script: Script) -> None:
    """A tenant that was suspended since the key was looked at doesn't chat any more."""
    agent = factories.agent(api)

    def suspend(*_: Any) -> int:
        runtime.write(
            lambda session: (
                session.execute(
                    update(Tenant).where(Tenant.id == agent["tenant_id"]).values(status="suspended")
                )
                and None
            )
        )
        return 1

    script.estimate = suspend
    ids = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"]}
    api.error(api.post(URL, {**ids, "message": "x"}), 403, "TENANT_003")


def test_full(api_with: Callable[..., Api], api: Api) -> None:
    """Past the most replies at once a chat is 503 SYS_005 with Retry-After, at once."""
    full = api_with(chat_replies=1)
    agent = factories.agent(api)
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "message": "x"}
    slots = full.app.extensions["tests.runtime"].reply_slots("internal")
    with slots.held():
        for path, given in ((URL, body), (f"{URL}/batch", {"requests": [body]})):
            answer = full.post(path, given)
            full.error(answer, 503, "SYS_005")
            assert answer.headers["Retry-After"]
    assert full.post(URL, body).status_code == 200
    assert slots.taken == 0
