"""Every operation, attacked in every place of its request: never a 5xx, always the one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests import factories
from tests.api import Api
from tests.http import attacks

ERROR_FIELDS = {"success", "message", "error", "error_code", "timestamp", "request_id"}
INTERNALS = ("Traceback", "sqlalchemy", "SELECT ", "INSERT ", "pymysql", "sqlite3", 'File "')


class World:
    """A tenant with one of everything, and valid requests to it."""

    def __init__(self, api: Api) -> None:
        agent = factories.agent(api)
        key = factories.api_key(api, agent)
        template = factories.template(api)
        factories.plugin_setting(api, agent["tenant_id"], plugin_name="known")
        self.api_key = key["api_key"]
        self.ids = {
            "tenant_id": agent["tenant_id"],
            "agent_id": agent["id"],
            "api_key_id": key["id"],
            "template_id": template["id"],
            "version": "1",
        }

    def of(self, *names: str) -> dict[str, str]:
        """Some of the ids, by name."""
        return {name: self.ids[name] for name in names}


Valid = Callable[[World], dict[str, Any]]


def _nothing(_: World) -> dict[str, Any]:
    return {}


def _key(**more: Any) -> Valid:
    return lambda world: {"api_key": world.api_key, **more}


# Every operation of the internal plane: a valid body (None where it takes none), a valid query.
OPERATIONS: dict[tuple[str, str], tuple[Valid | None, Valid]] = {
    ("get", "/"): (None, _nothing),
    ("get", "/health"): (None, _nothing),
    ("get", "/health/live"): (None, _nothing),
    ("get", "/health/ready"): (None, _nothing),
    ("get", "/info"): (None, _nothing),
    ("get", "/api/v2/tenants"): (None, _nothing),
    ("post", "/api/v2/tenants"): (
        lambda _: {"tenant_name": "t", "tenant_type": "personal", "tenant_config": {}},
        _nothing,
    ),
    ("get", "/api/v2/tenants/{tenant_id}"): (None, _nothing),
    ("put", "/api/v2/tenants/{tenant_id}"): (lambda _: {"description": "x"}, _nothing),
    ("delete", "/api/v2/tenants/{tenant_id}"): (None, _nothing),
    ("get", "/api/v2/tenants/{tenant_id}/stats"): (None, _nothing),
    ("get", "/api/v2/tenants/{tenant_id}/permission-groups"): (None, _nothing),
    ("put", "/api/v2/tenants/{tenant_id}/permission-groups"): (
        lambda _: {"groups": {"support": ["chat"]}},
        _nothing,
    ),
    ("get", "/api/v2/agents"): (None, lambda world: world.of("tenant_id")),
    ("post", "/api/v2/agents"): (
        lambda world: {**world.of("tenant_id"), "name": "a", "config": {}, "tags": ["a"]},
        _nothing,
    ),
    ("get", "/api/v2/agents/{agent_id}"): (None, _nothing),
    ("put", "/api/v2/agents/{agent_id}"): (lambda _: {"description": "x"}, _nothing),
    ("delete", "/api/v2/agents/{agent_id}"): (None, _nothing),
    ("post", "/api/v2/agents/{agent_id}/clone"): (lambda _: {"name": "clone"}, _nothing),
    ("get", "/api/v2/agents/{agent_id}/config"): (None, _nothing),
    ("put", "/api/v2/agents/{agent_id}/config"): (
        lambda _: {"persona": {}, "bot_overrides": {}, "config_overrides": {}, "tags": []},
        _nothing,
    ),
    ("get", "/api/v2/agents/{agent_id}/config/effective"): (None, _nothing),
    ("get", "/api/v2/agents/{agent_id}/config/versions"): (None, _nothing),
    ("get", "/api/v2/agents/{agent_id}/config/versions/{version}"): (None, _nothing),
    ("get", "/api/v2/agents/{agent_id}/config/versions/{version}/diff"): (
        None,
        lambda _: {"to": "1"},
    ),
    ("post", "/api/v2/agents/{agent_id}/config/rollback"): (lambda _: {"version": 1}, _nothing),
    ("get", "/api/v2/agent-templates"): (None, _nothing),
    ("post", "/api/v2/agent-templates"): (lambda _: {"name": "t", "config": {}}, _nothing),
    ("get", "/api/v2/agent-templates/{template_id}"): (None, _nothing),
    ("put", "/api/v2/agent-templates/{template_id}"): (lambda _: {"category": "x"}, _nothing),
    ("delete", "/api/v2/agent-templates/{template_id}"): (None, _nothing),
    ("get", "/api/v2/api-keys"): (None, lambda world: world.of("tenant_id")),
    ("post", "/api/v2/api-keys"): (
        lambda world: {**world.of("tenant_id", "agent_id"), "name": "k", "permissions": ["chat"]},
        _nothing,
    ),
    ("get", "/api/v2/api-keys/{api_key_id}"): (None, _nothing),
    ("put", "/api/v2/api-keys/{api_key_id}"): (lambda _: {"description": "x"}, _nothing),
    ("delete", "/api/v2/api-keys/{api_key_id}"): (None, _nothing),
    ("post", "/api/v2/api-keys/{api_key_id}/disable"): (None, _nothing),
    ("post", "/api/v2/api-keys/{api_key_id}/enable"): (None, _nothing),
    ("post", "/api/v2/api-keys/{api_key_id}/rotate"): (lambda _: {"grace_seconds": 1}, _nothing),
    ("post", "/api/v2/auth/parse-api-key"): (_key(), _nothing),
    ("post", "/api/v2/auth/validate-api-key"): (_key(required_permission="chat"), _nothing),
    ("post", "/api/v2/auth/check-permission"): (_key(permission="chat"), _nothing),
    ("get", "/api/v2/agent-activity"): (None, lambda world: world.of("tenant_id")),
    ("put", "/api/v2/agent-activity"): (
        lambda world: {**world.of("tenant_id", "agent_id"), "ttl_seconds": 60},
        _nothing,
    ),
    ("get", "/api/v1/plugins/settings"): (None, lambda world: world.of("tenant_id")),
    ("post", "/api/v1/plugins/settings"): (
        lambda _: {"plugin_name": "p", "enabled": True, "config": {}},
        lambda world: world.of("tenant_id"),
    ),
    ("delete", "/api/v1/plugins/settings"): (
        None,
        lambda world: {**world.of("tenant_id"), "plugin_name": "known"},
    ),
    ("get", "/api/v2/usage"): (None, lambda world: world.of("tenant_id")),
    ("post", "/api/v1/usage/log"): (
        lambda world: {**world.of("tenant_id", "agent_id"), "action": "chat", "details": {}},
        _nothing,
    ),
    ("get", "/api/v2/audit-logs"): (None, _nothing),
    ("post", "/api/v2/chat"): (_key(message="你好", metadata={}), _nothing),
    ("post", "/api/v2/chat/batch"): (
        lambda world: {"requests": [{"api_key": world.api_key, "message": "x"}]},
        _nothing,
    ),
    ("get", "/api/v2/chat-agents"): (None, lambda world: world.of("tenant_id")),
    ("get", "/api/v2/chat/history"): (
        None,
        lambda world: {**world.of("tenant_id", "agent_id"), "user_id": "u"},
    ),
    ("delete", "/api/v2/chat/history"): (
        None,
        lambda world: {**world.of("tenant_id", "agent_id"), "user_id": "u"},
    ),
    ("get", "/api/v2/system/models"): (None, _nothing),
    ("get", "/api/v2/system/bot-defaults"): (None, _nothing),
}


def test_every_operation_is_here(api: Api) -> None:
    """The table of this module has every operation of the document that needs no login."""
    users = {"users", "admin", "own-agents", "own-tenants", "own-system"}
    documented = {
        (method, path)
        for path, item in api.spec["paths"].items()
        for method in ("get", "post", "put", "delete", "patch")
        if method in item and not users & set(item[method]["tags"])
    }
    assert documented == set(OPERATIONS)


class Attacker:
    """Sends requests to one operation, and looks at each answer."""

    def __init__(self, api: Api, method: str, path: str) -> None:
        self.api = api
        self.method = method
        self.path = path
        self.world = World(api)
        self.operation = api.spec["paths"][path][method]
        self.sent = 0

    def send(self, path: str | None = None, **request: Any) -> TestResponse:
        """One request; whatever it was, the answer is no 5xx and of the documented shape."""
        where = path or self.path.format(**self.world.ids)
        answer = self.api.call(self.method.upper(), where, **request)
        self.sent += 1
        told = f"{self.method} {where[:200]} {str(request)[:300]} -> {answer.status_code}"
        assert answer.status_code < 500, told
        if answer.status_code >= 400 and "/health" not in where:
            body = answer.get_json()
            assert set(body) - ERROR_FIELDS <= {"detail", "details"}, told
            assert set(body) >= ERROR_FIELDS, told
            text = answer.get_data(as_text=True)
            assert not any(word in text for word in INTERNALS), told
        if self.method == "delete" and answer.status_code < 300:
            self.world = World(self.api)
        return answer

    def valid(self) -> dict[str, Any]:
        """The options of a valid request."""
        body, query = OPERATIONS[self.method, self.path]
        options: dict[str, Any] = {"query_string": query(self.world)}
        if body is not None:
            options |= json_body(body(self.world))
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
    attacker = Attacker(api, method, path)
    accepted = attacker.send(**attacker.valid())
    assert accepted.status_code in (200, 204), "the attacks start from a request that is right"
    attack_bodies(attacker)
    attack_queries(attacker)
    attack_headers(attacker)
    attack_paths(attacker)


def attack_bodies(attacker: Attacker) -> None:
    """Bodies of any form and type, and every field with every value."""
    valid = OPERATIONS[attacker.method, attacker.path][0]
    for raw in attacks.BODIES if valid else attacks.BODIES[:3]:
        attacker.send(**{**attacker.valid(), "data": raw, "content_type": "application/json"})
    for content_type in attacks.TYPES if valid else ():
        attacker.send(**{**attacker.valid(), "data": b"a=b", "content_type": content_type})
    if valid is None:
        return
    for body in attacks.bodies(valid(attacker.world), attacker.body_schema()):
        attacker.send(**{**attacker.valid(), **json_body(body)})
    assert attacker.sent > len(attacks.VALUES)


def attack_queries(attacker: Attacker) -> None:
    """Every query parameter with every value, and parameters nobody knows."""
    for name in attacker.parameters("query"):
        for value in attacks.QUERY:
            options = attacker.valid()
            options["query_string"] = {**options["query_string"], name: value}
            attacker.send(**options)
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
