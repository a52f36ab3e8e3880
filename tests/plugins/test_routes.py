"""/api/v1/plugins"""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api
from tests.parallel import at_once, post, statuses

URL = "/api/v1/plugins/settings"


@pytest.fixture
def agent(api: Api) -> dict[str, Any]:
    """An agent of a tenant."""
    return factories.agent(api)


def scope(agent: dict[str, Any], of_agent: bool = True) -> dict[str, str]:
    """The query that names an agent, or its tenant alone."""
    found = {"tenant_id": agent["tenant_id"]}
    return {**found, "agent_id": agent["id"]} if of_agent else found


def listed(api: Api, agent: dict[str, Any], of_agent: bool = True) -> list[dict[str, Any]]:
    """The settings of an agent, or of its tenant."""
    answer = api.get(URL, query_string=scope(agent, of_agent))
    assert answer.status_code == 200
    return answer.get_json()


def store(api: Api, agent: dict[str, Any], of_agent: bool = True, **body: Any) -> dict[str, Any]:
    """A stored setting."""
    found = {"plugin_name": "order_query", "enabled": True, **body}
    answer = api.post(URL, found, query_string=scope(agent, of_agent))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def test_plain_resources(api: Api, agent: dict[str, Any]) -> None:
    """A setting is answered and listed as it was sent, without an envelope."""
    body = {"plugin_name": "order_query", "enabled": True, "config": {"a": [1, 1.0, None]}}
    assert store(api, agent, False, **body) == body
    assert listed(api, agent, False) == [body]


def test_none(api: Api, agent: dict[str, Any]) -> None:
    """Where nothing is set the list is empty."""
    assert listed(api, agent) == listed(api, agent, False) == []


def test_overlay(api: Api, agent: dict[str, Any]) -> None:
    """The tenant's defaults are overlaid by the agent's; objects deep, arrays replaced, null
    deletes."""
    lower = {"deep": {"keep": 1, "change": 1, "drop": 1}, "list": [1, 2], "own": True}
    store(api, agent, False, config=lower)
    over = {"deep": {"change": 2, "drop": None, "add": 3}, "list": [3]}
    store(api, agent, enabled=False, config=over)
    merged = {"deep": {"keep": 1, "change": 2, "add": 3}, "list": [3], "own": True}
    name = {"plugin_name": "order_query"}
    assert listed(api, agent) == [{**name, "enabled": False, "config": merged}]
    assert listed(api, agent, False) == [{**name, "enabled": True, "config": lower}]


def test_both_sides(api: Api, agent: dict[str, Any]) -> None:
    """An agent has its tenant's plugins and its own, by name; others don't have the agent's."""
    sibling = factories.agent(api, agent["tenant_id"])
    store(api, agent, False, plugin_name="b")
    store(api, agent, plugin_name="a")
    store(api, agent, plugin_name="c")
    assert [row["plugin_name"] for row in listed(api, agent)] == ["a", "b", "c"]
    assert [row["plugin_name"] for row in listed(api, agent, False)] == ["b"]
    assert [row["plugin_name"] for row in listed(api, sibling)] == ["b"]


def test_replaced(api: Api, agent: dict[str, Any]) -> None:
    """A second setting takes the place of the first; without a config the stored one stays."""
    store(api, agent, config={"a": 1})
    assert store(api, agent, enabled=False, config={"b": 2})["config"] == {"b": 2}
    for config in ({}, {"config": None}):
        kept = store(api, agent, enabled=True, **config)
        assert (kept["enabled"], kept["config"]) == (True, {"b": 2})
    assert store(api, agent, config={})["config"] == {}


@pytest.mark.parametrize("config", [{}, {"config": None}])
def test_without_config(config: dict[str, None], api: Api, agent: dict[str, Any]) -> None:
    """A first setting without a config has an empty one."""
    assert store(api, agent, **config)["config"] == {}


def test_names_are_compared_exactly(api: Api, agent: dict[str, Any]) -> None:
    """Plugins whose names differ in case or accent are two; outer blanks go."""
    for name in ("bob", "Bob", "bób", " bob "):
        store(api, agent, plugin_name=name)
    assert {row["plugin_name"] for row in listed(api, agent)} == {"bob", "Bob", "bób"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plugin_name", ""),
        ("plugin_name", None),
        ("plugin_name", "x" * 101),
        ("enabled", None),
        ("enabled", "on"),
        ("enabled", 1),
        ("config", []),
        ("config", "{}"),
        ("enable", True),
    ],
)
def test_wrong_fields(field: str, value: Any, api: Api, agent: dict[str, Any]) -> None:
    """A wrong or unknown field is 422 with its name, and `detail` repeats the message."""
    body = {"plugin_name": "p", "enabled": True, field: value}
    answer = api.post(URL, body, query_string=scope(agent))
    error = api.error(answer, 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]
    assert error["detail"] == error["message"]


@pytest.mark.parametrize("field", ["plugin_name", "enabled"])
def test_required_fields(field: str, api: Api, agent: dict[str, Any]) -> None:
    """Name and enabled are required."""
    body = {"plugin_name": "p", "enabled": True}
    del body[field]
    answer = api.post(URL, body, query_string=scope(agent))
    assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [field]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("no tenant", 422, "VALIDATION_ERROR"),
        ("unknown tenant", 404, "TENANT_001"),
        ("unknown agent", 404, "AGENT_001"),
        ("foreign agent", 404, "AGENT_001"),
    ],
)
def test_unknown(
    method: str, case: str, status: int, code: str, api: Api, agent: dict[str, Any]
) -> None:
    """An unknown tenant is TENANT_001, an unknown or another tenant's agent AGENT_001."""
    query = {
        "no tenant": {"agent_id": agent["id"]},
        "unknown tenant": {"tenant_id": "tenant_nope"},
        "unknown agent": {**scope(agent), "agent_id": "agent_nope"},
        "foreign agent": {**scope(agent), "agent_id": factories.agent(api)["id"]},
    }[case]
    if method == "DELETE":
        query["plugin_name"] = "p"
    body = {"plugin_name": "p", "enabled": True} if method == "POST" else None
    api.error(api.call(method, URL, query_string=query, json=body), status, code)


class TestDelete:
    def test_one(self, api: Api, agent: dict[str, Any]) -> None:
        """Deleting removes one setting of the very scope that is named, with 204."""
        store(api, agent, False, config={"of": "tenant"})
        store(api, agent, config={"of": "agent"})
        store(api, agent, plugin_name="other")
        query = {**scope(agent), "plugin_name": "order_query"}
        answer = api.delete(URL, query_string=query)
        assert (answer.status_code, answer.data) == (204, b"")
        found = {row["plugin_name"]: row["config"] for row in listed(api, agent)}
        assert found == {"order_query": {"of": "tenant"}, "other": {}}

    def test_unknown(self, api: Api, agent: dict[str, Any]) -> None:
        """A setting that isn't there, also one of the other scope, is 404."""
        store(api, agent, False)
        query = {**scope(agent), "plugin_name": "order_query"}
        api.error(api.delete(URL, query_string=query), 404, "NOT_FOUND")
        assert len(listed(api, agent, False)) == 1

    def test_name_is_required(self, api: Api, agent: dict[str, Any]) -> None:
        """Without a plugin_name it is 422."""
        error = api.error(api.delete(URL, query_string=scope(agent)), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["plugin_name"]


def test_audit(api: Api, agent: dict[str, Any]) -> None:
    """Each change is kept with the setting before and after."""
    store(api, agent, config={"a": 1})
    store(api, agent, enabled=False)
    api.delete(URL, query_string={**scope(agent), "plugin_name": "order_query"})
    entries = factories.audit_entries(api, resource=f"{agent['id']}/order_query")
    deleted, changed, created = entries
    assert created["action"] == changed["action"] == "plugin_setting.store"
    assert deleted["action"] == "plugin_setting.delete"
    setting = {"plugin_name": "order_query", "enabled": True, "config": {"a": 1}}
    assert (created["before"], created["after"]) == (None, setting)
    assert (changed["before"], changed["after"]) == ({"enabled": True}, {"enabled": False})
    assert (deleted["before"], deleted["after"]) == ({**setting, "enabled": False}, None)
    assert {entry["tenant_id"] for entry in entries} == {agent["tenant_id"]}


@pytest.mark.parametrize("of_agent", [True, False])
def test_first_ones_at_once(of_agent: bool, api: Api, agent: dict[str, Any]) -> None:
    """First settings of one plugin at the same time all succeed, and one of them stays."""
    query = scope(agent, of_agent)
    calls = [
        post(URL, {"plugin_name": "p", "enabled": True, "config": {"n": n}}, query_string=query)
        for n in range(20)
    ]
    assert statuses(at_once(api, calls)) == {200: 20}
    (row,) = listed(api, agent, of_agent)
    assert row["config"]["n"] in range(20)
