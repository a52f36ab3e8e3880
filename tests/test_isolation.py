"""Foreign ids look unknown: what one tenant may name of another is nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from maimconfig.webhooks.service import emit
from tests import factories
from tests.api import Api
from tests.factories.webhooks import NOWHERE, log_of, webhook

# What acts for a person who is logged in is looked at in tests/users/test_matrix.py.
CONTROL_PLANE = ("/api/v2/", "/api/v1/plugins/", "/api/v1/usage/")
# Fields whose names end like an id's but that name nothing of this service, or no other's object.
FREE = {"owner_id", "user_id", "conversation_id", "group_id", "message_id"}
# A clone goes where the caller says: that is what its tenant_id is for.
MEANT = {("POST", "/api/v2/agents/{agent_id}/clone", "tenant_id")}
UNKNOWN = {"tenant_id": "tenant_nope", "agent_id": "agent_nope", "template_id": "tmpl_nope",
           "api_key_id": "key_nope", "resource": "agent_nope",
           "webhook_id": "webhook_nope", "delivery_id": "delivery_nope"}  # fmt: skip
# What bodies and queries must have besides ids.
NEEDED = {"name": "a name", "ttl_seconds": 60, "plugin_name": "p", "enabled": True,
          "action": "chat", "config": {}, "version": 1, "to": 1, "message": "x",
          "requests": [{"message": "x"}], "url": NOWHERE}  # fmt: skip


class Combination(NamedTuple):
    """An operation that is given an object of one tenant together with one of another.

    Attributes:
        method, path: of the operation.
        anchor: the field that names the own object.
        field: the field that names the other's.
    """

    method: str
    path: str
    anchor: str
    field: str


class World:
    """Objects of a tenant, by the fields that name them."""

    def __init__(self, api: Api) -> None:
        tenant = factories.tenant(api)["id"]
        template = factories.template(api, tenant_id=tenant)["id"]
        agent = factories.agent(api, tenant, template_id=template)
        key = factories.api_key(api, agent)
        factories.plugin_setting(api, tenant, agent["id"], plugin_name="p")
        factories.usage(api, tenant, agent_id=agent["id"])
        self.ids = {
            "tenant_id": tenant,
            "agent_id": agent["id"],
            "template_id": template,
            "api_key_id": key["id"],
            "resource": agent["id"],
            **self._webhook(api, tenant),
        }

    def _webhook(self, api: Api, tenant_id: str) -> dict[str, str]:
        hook = webhook(api, tenant_id=tenant_id)
        running = api.app.extensions["tests.runtime"]
        running.write(lambda session: emit(session, tenant_id, "message.created", {}))
        return {"webhook_id": hook["id"], "delivery_id": log_of(api, hook)[0]["id"]}


class Parts(NamedTuple):
    """The fields of an operation: names of its path, and of its query and its body whether they
    are required."""

    path: list[str]
    query: dict[str, bool]
    body: dict[str, bool]

    @property
    def ids(self) -> list[str]:
        """Those that name an object."""
        return [name for name in (*self.path, *self.query, *self.body) if name in UNKNOWN]


def operations(spec: dict[str, Any]) -> dict[tuple[str, str], Parts]:
    """The operations of the control plane by method and path, as the document has them."""
    return {
        (method.upper(), path): parts_of(item.get("parameters", []), operation, spec)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method != "parameters" and path.startswith(CONTROL_PLANE)
    }


def parts_of(shared: list[Any], operation: dict[str, Any], spec: dict[str, Any]) -> Parts:
    """The fields of one operation."""
    parameters = [*shared, *operation.get("parameters", [])]
    query = {one["name"]: one.get("required", False) for one in parameters if one["in"] == "query"}
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    required = schema.get("required", [])
    return Parts(
        [one["name"] for one in parameters if one["in"] == "path"],
        query,
        {name: name in required for name in schema.get("properties", {})},
    )


def combinations(spec: dict[str, Any]) -> list[Combination]:
    """Every way to name an own and a foreign object in one call."""
    found = []
    for (method, path), parts in operations(spec).items():
        anchor = parts.ids[0] if parts.path else "tenant_id"
        others = [name for name in parts.ids if name != anchor]
        found += [Combination(method, path, anchor, name) for name in others]
    return found


def call(api: Api, case: Combination, ids: dict[str, str]) -> TestResponse:
    """The operation with these ids and else only what it needs."""
    parts = operations(api.spec)[case.method, case.path]

    def filled(fields: dict[str, bool]) -> dict[str, Any]:
        wanted = {name for name, required in fields.items() if required}
        wanted |= {case.anchor, case.field} & fields.keys()
        return {name: ids.get(name, NEEDED.get(name)) for name in wanted}

    options: dict[str, Any] = {"query_string": filled(parts.query)}
    if case.method in ("POST", "PUT"):
        options["json"] = filled(parts.body)
    return api.call(case.method, case.path.format(**ids), **options)


def told(answer: TestResponse) -> tuple[int, Any]:
    """Status and body of an answer, without what is different each time."""
    body = answer.get_json(silent=True)
    if isinstance(body, dict):
        body = {
            name: value
            for name, value in body.items()
            if name not in ("request_id", "timestamp", "execution_time")
        }
    return answer.status_code, body


def test_the_walk_finds_them(api: Api) -> None:
    """The document is walked for real: it has the combinations that are known."""
    found = {(case.method, case.path, case.field) for case in combinations(api.spec)}
    assert found >= {
        ("POST", "/api/v2/agents", "template_id"),
        ("PUT", "/api/v2/agents/{agent_id}", "template_id"),
        ("POST", "/api/v2/api-keys", "agent_id"),
        ("GET", "/api/v2/api-keys", "agent_id"),
        ("PUT", "/api/v2/agent-activity", "agent_id"),
        ("GET", "/api/v1/plugins/settings", "agent_id"),
        ("POST", "/api/v1/plugins/settings", "agent_id"),
        ("DELETE", "/api/v1/plugins/settings", "agent_id"),
        ("POST", "/api/v1/usage/log", "agent_id"),
        ("GET", "/api/v2/audit-logs", "resource"),
        *MEANT,
    }


def test_every_id_is_known_to_this_test(api: Api) -> None:
    """No operation takes an id that the test doesn't try."""
    names = {name for parts in operations(api.spec).values() for part in parts for name in part}
    assert {name for name in names if name.endswith("_id")} == UNKNOWN.keys() - {"resource"} | FREE


def test_foreign_looks_unknown(api: Api) -> None:
    """Whatever is asked with another tenant's id answers as if that id were unknown."""
    mine, other = World(api), World(api)
    before = [api.data(api.get(f"/api/v2/agents/{one.ids['agent_id']}")) for one in (mine, other)]
    differing = {}
    for case in combinations(api.spec):
        if (case.method, case.path, case.field) in MEANT:
            continue
        foreign = call(api, case, {**mine.ids, case.field: other.ids[case.field]})
        unknown = call(api, case, {**mine.ids, case.field: UNKNOWN[case.field]})
        if told(foreign) != told(unknown):
            differing[case] = told(foreign), told(unknown)
        assert foreign.status_code < 500
    assert differing == {}
    after = [api.data(api.get(f"/api/v2/agents/{one.ids['agent_id']}")) for one in (mine, other)]
    assert after == before


@pytest.mark.parametrize("own", [True, False])
def test_the_own_is_found(own: bool, api: Api) -> None:
    """The same calls with the own id give another answer: the comparison proves something."""
    mine, other = World(api), World(api)
    ids = mine.ids if own else other.ids
    query = {"tenant_id": mine.ids["tenant_id"], "agent_id": ids["agent_id"]}
    answer = api.get("/api/v1/plugins/settings", query_string=query)
    assert answer.status_code == (200 if own else 404)
    keys = api.data(api.get("/api/v2/api-keys", query_string=query))["items"]
    assert len(keys) == (1 if own else 0)
