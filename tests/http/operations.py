"""What a valid request to each operation is like, and the world of whoever makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from maimconfig.sessions.models import ChatSession
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Delivery
from tests import factories
from tests.api import Api
from tests.factories import conversations, users
from tests.factories.webhooks import NOWHERE


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
