"""Every operation, attacked in every place of its request: never a 5xx, always the one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from maimconfig.sessions.models import ChatSession
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Delivery
from tests import factories
from tests.api import Api
from tests.factories import conversations, users
from tests.factories.webhooks import NOWHERE
from tests.http import attacks

ERROR_FIELDS = {"success", "message", "error", "error_code", "timestamp", "request_id"}
OPENAI_FIELDS = {"message", "type", "param", "code"}
INTERNALS = ("Traceback", "sqlalchemy", "SELECT ", "INSERT ", "pymysql", "sqlite3", 'File "')


class World:
    """What the requests of one kind of caller are about, and what they show.

    Attributes:
        ids: of objects that exist, by the names that paths and bodies have for them.
        headers: of a valid request.
    """

    ids: dict[str, str]
    headers: dict[str, str]

    def of(self, *names: str) -> dict[str, str]:
        """Some of the ids, by name."""
        return {name: self.ids[name] for name in names}


class Network(World):
    """A tenant with one of everything, for callers on the trusted network."""

    def __init__(self, api: Api) -> None:
        agent = factories.agent(api)
        key = factories.api_key(api, agent)
        template = factories.template(api)
        factories.plugin_setting(api, agent["tenant_id"], plugin_name="known")
        self.headers = {}
        self.api_key = key["api_key"]
        self.ids = {
            "tenant_id": agent["tenant_id"],
            "agent_id": agent["id"],
            "api_key_id": key["id"],
            "template_id": template["id"],
            "version": "1",
            **webhook_of(api, agent["tenant_id"]),
        }


def webhook_of(api: Api, tenant_id: str) -> dict[str, str]:
    """The ids of a webhook of a tenant, and of a delivery to it."""
    running = api.app.extensions["tests.runtime"]
    return running.write(lambda session: _webhook_of(session, tenant_id))


def _webhook_of(session: Any, tenant_id: str) -> dict[str, str]:
    hook = webhooks.create(session, tenant_id=tenant_id, url=NOWHERE)
    webhooks.emit(session, tenant_id, "message.created", {})
    of_hook = Delivery.webhook_id == hook.id
    return {"webhook_id": hook.id, "delivery_id": session.query(Delivery).filter(of_hook).one().id}


class User(World):
    """A user who is logged in and has an agent with a key."""

    role = "user"

    def __init__(self, api: Api) -> None:
        self.person = person = users.person(api, self.role)
        agent = person.made("/api/v1/agents/", {"name": "own"})
        keys = f"/api/v1/agents/{agent['id']}/api_keys"
        self.headers = person.headers
        self.ids = {
            "agent_id": agent["id"],
            "key_id": person.made(keys, {"name": "k"})["id"],
            "user_id": users.quick(api.app.extensions["tests.runtime"]),
            **webhook_of(api, agent["tenant_id"]),
        }


class Visitor(User):
    """A user of the public plane, whose agent has a plugin setting."""

    def __init__(self, public: Api) -> None:
        super().__init__(public)
        setting = {"plugin_name": "known", "enabled": True}
        self.person.made(_PLUGINS, setting, query_string=self.of("agent_id"))


class KeyHolder(User):
    """A client of OpenAI's API, who has the key of an agent."""

    def __init__(self, public: Api) -> None:
        super().__init__(public)
        keys = f"/api/v1/agents/{self.ids['agent_id']}/api_keys"
        key = self.person.made(keys, {"name": "openai", "permissions": ["chat"]})
        self.headers = {"Authorization": f"Bearer {key['api_key']}"}
        self.ids = {"model": self.ids["agent_id"]}


class Talker(User):
    """A user who has begun a session with an agent of its own, which has said something."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        body = {"user_id": "visitor", **self.of("agent_id")}
        begun = self.person.made(f"{_CHAT}/sessions", body)
        runtime = api.app.extensions["tests.runtime"]
        chat = runtime.read(lambda session: session.get_one(ChatSession, begun["session_id"]))
        said = conversations.Talk(runtime, chat).say("你好", sender_type="ai")
        self.ids |= {"session_id": chat.id, "message_id": said["id"]}


class Admin(User):
    """An administrator, and somebody else to administer."""

    role = "admin"


class Staff(User):
    """Somebody who answers, and a conversation."""

    role = "supervisor"

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        running = api.app.extensions["tests.runtime"]
        of = conversations.agent(running)
        chat, other = (conversations.talk(running, of).chat for _ in range(2))
        self.ids |= {
            "tenant_id": chat.tenant_id,
            "conversation_id": chat.conversation_id,
            "contact_id": chat.contact_id,
            "assignee_id": self.person.id,
            "other_id": other.contact_id,
        }


Valid = Callable[[Any], dict[str, Any]]


def _nothing(_: World) -> dict[str, Any]:
    return {}


def _key(**more: Any) -> Valid:
    return lambda world: {"api_key": world.api_key, **more}


def _new_user(**more: Any) -> Valid:
    return lambda _: {"username": users.new_name(), "password": users.PASSWORD, **more}


class Operation(NamedTuple):
    """What a valid request to an operation is like.

    Attributes:
        body: None where it takes none.
        caller: whose world it is about.
        spends: a success uses up what the request was about.
    """

    body: Valid | None = None
    query: Valid = _nothing
    caller: type[World] = Network
    spends: bool = False


_AGENTS, _USERS = "/api/v1/agents", "/api/v1/admin/users"
_PLUGINS = "/api/v1/plugins/settings"
_CHAT = "/api/v1/chat"
_SESSION = f"{_CHAT}/sessions/{{session_id}}"

_CONVERSATIONS = "/api/v1/admin/conversations"
_CONVERSATION = f"{_CONVERSATIONS}/{{conversation_id}}"

# Every operation of the internal plane.
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("get", "/"): Operation(),
    ("get", "/health"): Operation(),
    ("get", "/health/live"): Operation(),
    ("get", "/health/ready"): Operation(),
    ("get", "/info"): Operation(),
    ("get", "/api/v2/tenants"): Operation(),
    ("post", "/api/v2/tenants"): Operation(
        lambda _: {"tenant_name": "t", "tenant_type": "personal", "tenant_config": {}},
    ),
    ("get", "/api/v2/tenants/{tenant_id}"): Operation(),
    ("put", "/api/v2/tenants/{tenant_id}"): Operation(lambda _: {"description": "x"}),
    ("delete", "/api/v2/tenants/{tenant_id}"): Operation(spends=True),
    ("get", "/api/v2/tenants/{tenant_id}/stats"): Operation(),
    ("get", "/api/v2/tenants/{tenant_id}/billing"): Operation(None, lambda _: {"month": "2026-11"}),
    ("get", "/api/v2/tenants/{tenant_id}/permission-groups"): Operation(),
    ("put", "/api/v2/tenants/{tenant_id}/permission-groups"): Operation(
        lambda _: {"groups": {"support": ["chat"]}},
    ),
    ("get", "/api/v2/agents"): Operation(None, lambda world: world.of("tenant_id")),
    ("post", "/api/v2/agents"): Operation(
        lambda world: {**world.of("tenant_id"), "name": "a", "config": {}, "tags": ["a"]},
    ),
    ("get", "/api/v2/agents/{agent_id}"): Operation(),
    ("put", "/api/v2/agents/{agent_id}"): Operation(lambda _: {"description": "x"}),
    ("delete", "/api/v2/agents/{agent_id}"): Operation(spends=True),
    ("post", "/api/v2/agents/{agent_id}/clone"): Operation(lambda _: {"name": "clone"}),
    ("get", "/api/v2/agents/{agent_id}/config"): Operation(),
    ("put", "/api/v2/agents/{agent_id}/config"): Operation(
        lambda _: {"persona": {}, "bot_overrides": {}, "config_overrides": {}, "tags": []},
    ),
    ("get", "/api/v2/agents/{agent_id}/config/effective"): Operation(),
    ("get", "/api/v2/agents/{agent_id}/config/versions"): Operation(),
    ("get", "/api/v2/agents/{agent_id}/config/versions/{version}"): Operation(),
    ("get", "/api/v2/agents/{agent_id}/config/versions/{version}/diff"): Operation(
        None,
        lambda _: {"to": "1"},
    ),
    ("post", "/api/v2/agents/{agent_id}/config/rollback"): Operation(lambda _: {"version": 1}),
    ("get", "/api/v2/agent-templates"): Operation(),
    ("post", "/api/v2/agent-templates"): Operation(lambda _: {"name": "t", "config": {}}),
    ("get", "/api/v2/agent-templates/{template_id}"): Operation(),
    ("put", "/api/v2/agent-templates/{template_id}"): Operation(lambda _: {"category": "x"}),
    ("delete", "/api/v2/agent-templates/{template_id}"): Operation(spends=True),
    ("get", "/api/v2/api-keys"): Operation(None, lambda world: world.of("tenant_id")),
    ("post", "/api/v2/api-keys"): Operation(
        lambda world: {**world.of("tenant_id", "agent_id"), "name": "k", "permissions": ["chat"]},
    ),
    ("get", "/api/v2/api-keys/{api_key_id}"): Operation(),
    ("put", "/api/v2/api-keys/{api_key_id}"): Operation(lambda _: {"description": "x"}),
    ("delete", "/api/v2/api-keys/{api_key_id}"): Operation(spends=True),
    ("post", "/api/v2/api-keys/{api_key_id}/disable"): Operation(),
    ("post", "/api/v2/api-keys/{api_key_id}/enable"): Operation(),
    ("post", "/api/v2/api-keys/{api_key_id}/rotate"): Operation(lambda _: {"grace_seconds": 1}),
    ("post", "/api/v2/auth/parse-api-key"): Operation(_key()),
    ("post", "/api/v2/auth/validate-api-key"): Operation(_key(required_permission="chat")),
    ("post", "/api/v2/auth/check-permission"): Operation(_key(permission="chat")),
    ("get", "/api/v2/agent-activity"): Operation(None, lambda world: world.of("tenant_id")),
    ("put", "/api/v2/agent-activity"): Operation(
        lambda world: {**world.of("tenant_id", "agent_id"), "ttl_seconds": 60},
    ),
    ("get", "/api/v1/plugins/settings"): Operation(None, lambda world: world.of("tenant_id")),
    ("post", "/api/v1/plugins/settings"): Operation(
        lambda _: {"plugin_name": "p", "enabled": True, "config": {}},
        lambda world: world.of("tenant_id"),
    ),
    ("delete", "/api/v1/plugins/settings"): Operation(
        None,
        lambda world: {**world.of("tenant_id"), "plugin_name": "known"},
        spends=True,
    ),
    ("get", "/api/v2/usage"): Operation(None, lambda world: world.of("tenant_id")),
    ("post", "/api/v1/usage/log"): Operation(
        lambda world: {**world.of("tenant_id", "agent_id"), "action": "chat", "details": {}},
    ),
    ("get", "/api/v2/audit-logs"): Operation(),
    ("post", "/api/v2/chat"): Operation(_key(message="你好", metadata={})),
    ("post", "/api/v2/chat/batch"): Operation(
        lambda world: {"requests": [{"api_key": world.api_key, "message": "x"}]},
    ),
    ("get", "/api/v2/chat-agents"): Operation(None, lambda world: world.of("tenant_id")),
    ("get", "/api/v2/chat/history"): Operation(
        None,
        lambda world: {**world.of("tenant_id", "agent_id"), "user_id": "u"},
    ),
    ("delete", "/api/v2/chat/history"): Operation(
        None,
        lambda world: {**world.of("tenant_id", "agent_id"), "user_id": "u"},
    ),
    ("get", "/api/v2/system/models"): Operation(),
    ("get", "/api/v2/system/providers"): Operation(),
    ("get", "/api/v2/system/bot-defaults"): Operation(),
    ("post", "/api/v1/auth/register"): Operation(_new_user()),
    ("post", "/api/v1/auth/login"): Operation(
        lambda user: {"username": user.person.user["username"], "password": users.PASSWORD},
        caller=User,
    ),
    ("post", "/api/v1/auth/refresh"): Operation(
        lambda user: {"refresh_token": user.person.tokens["refresh_token"]},
        caller=User,
        spends=True,
    ),
    ("post", "/api/v1/auth/logout"): Operation(caller=User, spends=True),
    ("post", "/api/v1/auth/logout-all"): Operation(caller=User, spends=True),
    ("get", "/api/v1/auth/me"): Operation(caller=User),
    ("get", "/api/v1/auth/sessions"): Operation(caller=User),
    ("post", "/api/v1/auth/change-password"): Operation(
        lambda _: {"old_password": users.PASSWORD, "new_password": "another of that kind"},
        caller=User,
        spends=True,
    ),
    ("get", f"{_AGENTS}/"): Operation(caller=User),
    ("post", f"{_AGENTS}/"): Operation(lambda _: {"name": "a"}, caller=User),
    ("get", f"{_AGENTS}/{{agent_id}}"): Operation(caller=User),
    ("put", f"{_AGENTS}/{{agent_id}}"): Operation(lambda _: {"description": "x"}, caller=User),
    ("delete", f"{_AGENTS}/{{agent_id}}"): Operation(caller=User, spends=True),
    ("get", f"{_AGENTS}/{{agent_id}}/api_keys"): Operation(caller=User),
    ("post", f"{_AGENTS}/{{agent_id}}/api_keys"): Operation(lambda _: {"name": "b"}, caller=User),
    ("delete", f"{_AGENTS}/{{agent_id}}/api_keys/{{key_id}}"): Operation(caller=User, spends=True),
    ("get", "/api/v1/tenants/"): Operation(caller=User),
    ("post", "/api/v1/tenants/"): Operation(lambda _: {"tenant_name": "t"}, caller=User),
    ("get", "/api/v1/system/models"): Operation(caller=User),
    ("get", "/api/v1/system/bot-defaults"): Operation(caller=User),
    ("get", "/api/v1/admin/permissions"): Operation(caller=User),
    ("get", _USERS): Operation(caller=Admin),
    ("post", _USERS): Operation(_new_user(role="user"), caller=Admin),
    ("get", f"{_USERS}/{{user_id}}"): Operation(caller=Admin),
    ("put", f"{_USERS}/{{user_id}}"): Operation(lambda _: {"full_name": "x"}, caller=Admin),
    ("delete", f"{_USERS}/{{user_id}}"): Operation(caller=Admin, spends=True),
    ("post", f"{_USERS}/{{user_id}}/status"): Operation(
        lambda _: {"status": "active"}, caller=Admin
    ),
    ("post", f"{_USERS}/{{user_id}}/reset-password"): Operation(
        lambda _: {"new_password": users.PASSWORD}, caller=Admin
    ),
    ("get", "/api/v1/admin/analytics/dashboard"): Operation(caller=Admin),
    ("get", "/api/v1/admin/analytics/users"): Operation(caller=Admin),
    ("get", "/api/v1/admin/analytics/conversations"): Operation(caller=Staff),
    ("get", _CONVERSATIONS): Operation(caller=Staff),
    ("get", _CONVERSATION): Operation(caller=Staff),
    ("post", f"{_CONVERSATION}/takeover"): Operation(caller=Staff),
    ("post", f"{_CONVERSATION}/assign"): Operation(lambda w: w.of("assignee_id"), caller=Staff),
    ("post", f"{_CONVERSATION}/release"): Operation(caller=Staff),
    ("post", f"{_CONVERSATION}/switch-agent"): Operation(
        lambda _: {"agent_type": "human"}, caller=Staff
    ),
    ("put", f"{_CONVERSATION}/status"): Operation(lambda _: {"status": "open"}, caller=Staff),
    ("put", f"{_CONVERSATION}/priority"): Operation(lambda _: {"priority": "low"}, caller=Staff),
    ("put", f"{_CONVERSATION}/tags"): Operation(lambda _: {"tags": ["a"]}, caller=Staff),
    ("get", f"{_CONVERSATION}/messages"): Operation(caller=Staff),
    ("post", f"{_CONVERSATION}/messages"): Operation(lambda _: {"content": "x"}, caller=Staff),
    ("post", f"{_CONVERSATION}/notes"): Operation(lambda _: {"content": "x"}, caller=Staff),
    **{
        (method, f"/api/v1/admin/{name}{rest}"): Operation(
            body, caller=Staff, spends=rest.endswith("/merge")
        )
        for name in ("contacts", "customers")
        for method, rest, body in (
            ("get", "", None),
            ("post", "", lambda world: world.of("tenant_id")),
            ("get", "/{contact_id}", None),
            ("put", "/{contact_id}", lambda _: {"custom_attributes": {"a": 1}}),
            ("post", "/{contact_id}/merge", lambda world: {"contact_id": world.ids["other_id"]}),
        )
    },
    ("get", "/api/v2/webhooks"): Operation(None, lambda world: world.of("tenant_id")),
    ("post", "/api/v2/webhooks"): Operation(
        lambda world: {**world.of("tenant_id"), "url": NOWHERE, "events": ["agent.online"]},
    ),
    ("get", "/api/v2/webhooks/{webhook_id}"): Operation(),
    ("put", "/api/v2/webhooks/{webhook_id}"): Operation(lambda _: {"events": []}),
    ("delete", "/api/v2/webhooks/{webhook_id}"): Operation(spends=True),
    ("get", "/api/v2/webhooks/{webhook_id}/deliveries"): Operation(),
    ("post", "/api/v2/deliveries/{delivery_id}/redeliver"): Operation(),
    ("get", "/api/v1/webhooks"): Operation(caller=User),
    ("post", "/api/v1/webhooks"): Operation(lambda _: {"url": NOWHERE}, caller=User),
    ("get", "/api/v1/webhooks/{webhook_id}"): Operation(caller=User),
    ("put", "/api/v1/webhooks/{webhook_id}"): Operation(lambda _: {"events": []}, caller=User),
    ("delete", "/api/v1/webhooks/{webhook_id}"): Operation(caller=User, spends=True),
    ("get", "/api/v1/webhooks/{webhook_id}/deliveries"): Operation(caller=User),
    ("post", "/api/v1/deliveries/{delivery_id}/redeliver"): Operation(caller=User),
    ("post", f"{_CHAT}/sessions"): Operation(
        lambda user: {"user_id": users.new_name(), **user.of("agent_id")}, caller=Talker
    ),
    ("get", _SESSION): Operation(caller=Talker),
    ("put", _SESSION): Operation(lambda _: {"metadata": {"a": 1}}, caller=Talker),
    ("delete", _SESSION): Operation(caller=Talker, spends=True),
    ("get", f"{_SESSION}/messages"): Operation(caller=Talker),
    ("post", f"{_SESSION}/switch-agent"): Operation(
        lambda _: {"agent_type": "human"}, caller=Talker
    ),
    ("post", f"{_CHAT}/messages"): Operation(
        lambda user: {"content": "x", **user.of("session_id")}, caller=Talker
    ),
    ("post", f"{_CHAT}/send"): Operation(
        lambda user: {"message": "x", **user.of("session_id")}, caller=Talker
    ),
    ("post", f"{_CHAT}/messages/{{message_id}}/feedback"): Operation(
        lambda _: {"rating": 5}, caller=Talker
    ),
    ("get", "/v1/models"): Operation(caller=KeyHolder),
    ("get", "/v1/models/{model}"): Operation(caller=KeyHolder),
    ("post", "/v1/chat/completions"): Operation(
        lambda client: {
            **client.of("model"),
            "messages": [{"role": "user", "content": "x"}],
        },
        caller=KeyHolder,
    ),
}

# What the public plane has of its own, or under a path that is another operation there.
ON_PUBLIC: dict[tuple[str, str], Operation] = {
    ("get", _PLUGINS): Operation(None, lambda user: user.of("agent_id"), Visitor),
    ("post", _PLUGINS): Operation(
        lambda _: {"plugin_name": "p", "enabled": True}, lambda user: user.of("agent_id"), Visitor
    ),
    ("delete", _PLUGINS): Operation(
        None,
        lambda user: {**user.of("agent_id"), "plugin_name": "known"},
        Visitor,
        spends=True,
    ),
}


def documented(plane: Api) -> set[tuple[str, str]]:
    """Every operation of a plane's document."""
    return {
        (method, path)
        for path, item in plane.spec["paths"].items()
        for method in ("get", "post", "put", "delete", "patch")
        if method in item
    }


def test_every_operation_is_here(api: Api, public: Api) -> None:
    """The tables of this module have every operation of each plane."""
    assert documented(api) == set(OPERATIONS)
    assert documented(public) <= set(OPERATIONS) | set(ON_PUBLIC)
    assert set(ON_PUBLIC) <= documented(public)


class Attacker:
    """Sends requests to one operation, and looks at each answer.

    Attributes:
        on_sqlite: what is refused before a database is asked, is tried on SQLite alone.
    """

    def __init__(self, api: Api, method: str, path: str, right: Operation) -> None:
        self.api = api
        self.method = method
        self.path = path
        self.right = right
        self.world = right.caller(api)
        self.operation = api.spec["paths"][path][method]
        self.sent = 0
        self.on_sqlite = api.app.extensions["tests.runtime"].database.is_sqlite

    def send(self, path: str | None = None, **request: Any) -> TestResponse:
        """One request; whatever it was, the answer is no 5xx and of the documented shape."""
        where = path or self.path.format(**self.world.ids)
        self.sent += 1
        # Each from another address, so that no throttle shuts the door before the attack.
        peer = f"198.18.{self.sent // 256 % 256}.{self.sent % 256}"
        request["headers"] = {**self.world.headers, **request.get("headers", {})}
        # Buffered, for a stream is read to its end and closed: only then is its reply over.
        answer = self.api.call(
            self.method.upper(), where, environ_base={"REMOTE_ADDR": peer}, buffered=True, **request
        )
        told = f"{self.method} {where[:200]} {str(request)[:300]} -> {answer.status_code}"
        assert answer.status_code < 500, told
        if answer.status_code >= 400 and "/health" not in where:
            body = answer.get_json()
            if self.path.startswith("/v1/"):
                assert set(body) == {"error"}, told
                assert set(body["error"]) == OPENAI_FIELDS, told
            else:
                assert set(body) - ERROR_FIELDS <= {"detail", "details"}, told
                assert set(body) >= ERROR_FIELDS, told
            text = answer.get_data(as_text=True)
            assert not any(word in text for word in INTERNALS), told
        if self.right.spends and answer.status_code < 300:
            self.world = self.right.caller(self.api)
        return answer

    def valid(self) -> dict[str, Any]:
        """The options of a valid request."""
        options: dict[str, Any] = {"query_string": self.right.query(self.world)}
        if self.right.body is not None:
            options |= json_body(self.right.body(self.world))
        return options

    def body_schema(self) -> dict[str, Any]:
        """The schema of the body, its references resolved as deep as they are attacked."""
        content = self.operation["requestBody"]["content"]["application/json"]
        schema = self._resolved(content["schema"])
        inner = {name: self._resolved(of) for name, of in schema.get("properties", {}).items()}
        return {**schema, "properties": inner}

    def parameters(self, place: str) -> list[str]:
        """The names of the parameters in the query or in the path."""
        item = self.api.spec["paths"][self.path]
        given = [*item.get("parameters", ()), *self.operation.get("parameters", ())]
        return [parameter["name"] for parameter in given if parameter["in"] == place]

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for part in (schema, *schema.get("anyOf", ()), *schema.get("allOf", ())):
            if "$ref" in part:
                return self.api.spec["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        return schema


def json_body(body: Any) -> dict[str, Any]:
    """The options of a request with a JSON body, well-formed or not."""
    return {"data": attacks.as_json(body), "content_type": "application/json"}


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_attacked(api: Api, method: str, path: str) -> None:
    """No value in any place of a request makes a 5xx, or an answer that isn't documented."""
    attack(Attacker(api, method, path, OPERATIONS[method, path]))


@pytest.mark.parametrize(("method", "path"), ON_PUBLIC, ids=lambda part: part)
def test_attacked_on_the_public_plane(public: Api, method: str, path: str) -> None:
    """The same holds for what the public plane has of its own."""
    attack(Attacker(public, method, path, ON_PUBLIC[method, path]))


def attack(attacker: Attacker) -> None:
    """Attack in every place of a request."""
    accepted = attacker.send(**attacker.valid())
    assert accepted.status_code in (200, 204), "the attacks start from a request that is right"
    attack_fields(attacker)
    attack_queries(attacker)
    attack_paths(attacker)
    if attacker.on_sqlite:
        attack_bodies(attacker)
        attack_query_strings(attacker)
        attack_headers(attacker)


def attack_fields(attacker: Attacker) -> None:
    """Every field of the body with every value."""
    valid = attacker.right.body
    if valid is None:
        return
    schema = attacker.body_schema()
    for body in attacks.bodies(valid(attacker.world), schema, deep=attacker.on_sqlite):
        attacker.send(**{**attacker.valid(), **json_body(body)})
    assert attacker.sent > len(attacks.VALUES)


def attack_bodies(attacker: Attacker) -> None:
    """Bodies of any form and type."""
    valid = attacker.right.body
    for raw in attacks.BODIES if valid else attacks.BODIES[:3]:
        attacker.send(**{**attacker.valid(), "data": raw, "content_type": "application/json"})
    for content_type in attacks.TYPES if valid else ():
        attacker.send(**{**attacker.valid(), "data": b"a=b", "content_type": content_type})


def attack_queries(attacker: Attacker) -> None:
    """Every query parameter with every value."""
    for name in attacker.parameters("query"):
        for value in attacks.QUERY:
            options = attacker.valid()
            options["query_string"] = {**options["query_string"], name: value}
            attacker.send(**options)


def attack_query_strings(attacker: Attacker) -> None:
    """Parameters nobody knows, and what is no parameter."""
    for raw in attacks.RAW_QUERIES:
        attacker.send(**{**attacker.valid(), "query_string": raw})


def attack_headers(attacker: Attacker) -> None:
    """Every header that is read with every value; one request has one value of each."""
    for turn in range(max(map(len, attacks.HEADERS.values()))):
        headers = {name: values[turn % len(values)] for name, values in attacks.HEADERS.items()}
        attacker.send(**attacker.valid(), headers=headers)


def attack_paths(attacker: Attacker) -> None:
    """Every id in the path with one that can't be, or that is nearly one that is."""
    for name in attacker.parameters("path"):
        known = attacker.world.ids[name]
        for value in attacks.path_values(known):
            ids = {**attacker.world.ids, name: attacks.as_path(value)}
            answer = attacker.send(attacker.path.format(**ids), **attacker.valid())
            assert answer.status_code in (404, 405) or value == known, value
