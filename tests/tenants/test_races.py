"""Tenants, agents and keys that several callers want at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api
from tests.parallel import at_once, codes, delete, post, put, statuses

THREADS = 20


def body_of(kind: str, agent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Path and body of a creation whose name everybody wants."""
    if kind == "tenant":
        return "/api/v2/tenants", {"tenant_name": "wanted", "tenant_type": "personal"}
    owner = {"tenant_id": agent["tenant_id"], "name": "wanted"}
    if kind == "agent":
        return "/api/v2/agents", owner
    if kind == "key":
        return "/api/v2/api-keys", {**owner, "agent_id": agent["id"]}
    return "/api/v2/agent-templates", {**owner, "config": {}}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("tenant", "TENANT_002"),
        ("agent", "AGENT_002"),
        ("key", "KEY_002"),
        ("template", "TEMPLATE_002"),
    ],
)
def test_one_name(kind: str, code: str, api: Api) -> None:
    """20 threads create one name: one does, nineteen get 409."""
    path, body = body_of(kind, factories.agent(api))
    answers = at_once(api, [post(path, body)] * THREADS)
    assert statuses(answers) == {200: 1, 409: THREADS - 1}
    assert codes(answers) == {code}


@pytest.mark.parametrize(("kind", "code"), [("agent", "TENANT_005"), ("key", "KEY_004")])
def test_quota(kind: str, code: str, api: Api) -> None:
    """Of 20 creations at the same time under a quota of 5 exactly 5 succeed."""
    quotas = {"max_agents": 5 if kind == "agent" else None, "max_api_keys": 5}
    owner = factories.tenant(api)["id"]
    agent = factories.agent(api, owner)
    if kind == "agent":
        quotas["max_agents"] = 6
    api.data(api.put(f"/api/v2/tenants/{owner}", {"tenant_config": {"quotas": quotas}}))
    path, body = body_of(kind, agent)
    calls = [post(path, {**body, "name": f"n{number}"}) for number in range(THREADS)]
    answers = at_once(api, calls)
    assert statuses(answers) == {200: 5, 403: THREADS - 5}
    assert codes(answers) == {code}


@pytest.mark.parametrize(
    "kind", ["tenants", "agents", "agents/config", "api-keys", "agent-templates"]
)
def test_one_etag(kind: str, api: Api) -> None:
    """Of changes at the same time from one ETag one wins, the others get 412."""
    if kind == "agents/config":
        path = f"/api/v2/agents/{factories.agent(api)['id']}/config"
    else:
        make = {
            "tenants": factories.tenant,
            "agents": factories.agent,
            "api-keys": factories.api_key,
            "agent-templates": factories.template,
        }[kind]
        path = f"/api/v2/{kind}/{make(api)['id']}"
    headers = {"If-Match": api.get(path).headers["ETag"]}
    calls = [put(path, {"description": f"{number}"}, headers=headers) for number in range(10)]
    answers = at_once(api, calls)
    assert statuses(answers) == {200: 1, 412: 9}
    (won,) = (answer for answer in answers if answer.status_code == 200)
    assert api.data(api.get(path)) == won.get_json()["data"]


def test_changes_without_an_etag(api: Api) -> None:
    """Changes of different fields at the same time are all there."""
    agent = factories.agent(api)
    path = f"/api/v2/agents/{agent['id']}/config"
    calls = [put(path, {"custom": {f"field_{number}": number}}) for number in range(10)]
    assert statuses(at_once(api, calls)) == {200: 10}
    assert len(api.data(api.get(path))["custom"]) == 10
    assert api.data(api.get(f"/api/v2/agents/{agent['id']}"))["config_version"] == 11


def test_deleted_under_everything(api: Api) -> None:
    """While a tenant is deleted everything else succeeds or finds it gone, and nothing stays."""
    agent = factories.agent(api)
    owner = agent["tenant_id"]
    keys = [factories.api_key(api, agent) for _ in range(2)]
    beat = {"tenant_id": owner, "agent_id": agent["id"], "ttl_seconds": 60}
    of = {"tenant_id": owner, "agent_id": agent["id"]}
    scope = {"query_string": of}
    calls = [delete(f"/api/v2/tenants/{owner}")]
    for number in range(4):
        calls += [
            put("/api/v2/agent-activity", beat),
            put(f"/api/v2/agents/{agent['id']}", {"description": f"{number}"}),
            put(f"/api/v2/tenants/{owner}", {"description": f"{number}"}),
            post("/api/v2/agents", {"tenant_id": owner, "name": f"n{number}"}),
            post("/api/v2/api-keys", {**of, "name": f"n{number}"}),
            post("/api/v1/plugins/settings", {"plugin_name": "p", "enabled": True}, **scope),
            post("/api/v1/usage/log", {"action": "chat", "tenant_id": owner}),
            post("/api/v2/auth/validate-api-key", {"api_key": keys[0]["api_key"]}),
            post(f"/api/v2/api-keys/{keys[1]['id']}/rotate", {}),
        ]
    answers = at_once(api, calls, threads=19)
    assert answers[0].status_code == 200
    assert set(statuses(answers)) <= {200, 401, 404}
    assert codes(answers) <= {"TENANT_001", "AGENT_001", "KEY_001", "ACTIVITY_002", "AUTH_005"}
    api.error(api.get(f"/api/v2/agents/{agent['id']}"), 404, "AGENT_001")


def test_agent_deleted_under_everything(api: Api) -> None:
    """While an agent is deleted everything else succeeds or finds it gone."""
    agent = factories.agent(api)
    owner = agent["tenant_id"]
    key = factories.api_key(api, agent)
    of = {"tenant_id": owner, "agent_id": agent["id"]}
    calls = [delete(f"/api/v2/agents/{agent['id']}")]
    for number in range(6):
        calls += [
            put("/api/v2/agent-activity", {**of, "ttl_seconds": 60}),
            put(f"/api/v2/agents/{agent['id']}", {"tags": [f"{number}"]}),
            post("/api/v2/api-keys", {**of, "name": f"n{number}"}),
            post(
                "/api/v1/plugins/settings",
                {"plugin_name": "p", "enabled": True},
                query_string=of,
            ),
            put(f"/api/v2/api-keys/{key['id']}", {"description": f"{number}"}),
        ]
    answers = at_once(api, calls, threads=16)
    assert answers[0].status_code == 200
    assert set(statuses(answers)) <= {200, 404}
    assert codes(answers) <= {"AGENT_001", "KEY_001", "ACTIVITY_002"}
    listed = api.data(api.get("/api/v2/api-keys", query_string={"tenant_id": owner}))
    assert (listed["items"], listed["pagination"]["total"]) == ([], 0)


def test_template_deleted_while_it_is_taken(api: Api) -> None:
    """A template that is deleted while agents are made from it is in use, or unknown to them."""
    owner = factories.tenant(api)["id"]
    template = factories.template(api)["id"]
    calls = [delete(f"/api/v2/agent-templates/{template}")]
    for number in range(8):
        of = {"tenant_id": owner, "name": f"n{number}", "template_id": template}
        calls.append(post("/api/v2/agents", of))
    removed, *made = at_once(api, calls)
    if removed.status_code == 200:
        assert statuses(made) == {404: 8}
        assert codes(made) == {"AGENT_003"}
    else:
        assert removed.get_json()["error_code"] == "TEMPLATE_003"
        assert statuses(made) == {200: 8}
