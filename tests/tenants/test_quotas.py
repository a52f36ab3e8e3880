"""Quotas: tenant_config.quotas over the settings' defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"


def new_agent(api: Api, tenant_id: str, name: str) -> Any:
    """The answer to the creation of an agent."""
    return api.post("/api/v2/agents", {"tenant_id": tenant_id, "name": name})


def new_key(api: Api, agent: dict[str, Any], name: str) -> Any:
    """The answer to the creation of a key."""
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "name": name}
    return api.post("/api/v2/api-keys", body)


def with_quotas(api: Api, **quotas: Any) -> str:
    """The id of a tenant with quotas."""
    return factories.tenant(api, tenant_config={"quotas": quotas})["id"]


def test_agents(api: Api) -> None:
    """A tenant with as many agents as it may have is refused another with 403 TENANT_005."""
    owner = with_quotas(api, max_agents=2)
    for name in "ab":
        api.data(new_agent(api, owner, name))
    error = api.error(new_agent(api, owner, "c"), 403, "TENANT_005")
    assert "max_agents: 2" in error["error"]


def test_clone(api: Api) -> None:
    """A clone counts like any agent."""
    agent = factories.agent(api, with_quotas(api, max_agents=1))
    api.error(api.post(f"/api/v2/agents/{agent['id']}/clone", {"name": "b"}), 403, "TENANT_005")


def test_keys(api: Api) -> None:
    """A tenant with as many keys as it may have is refused another with 403 KEY_004."""
    agent = factories.agent(api, with_quotas(api, max_api_keys=1))
    api.data(new_key(api, agent, "a"))
    error = api.error(new_key(api, agent, "b"), 403, "KEY_004")
    assert "max_api_keys: 1" in error["error"]


@pytest.mark.parametrize(
    "config", [{}, {"quotas": {}}, {"quotas": None}, {"quotas": {"max_agents": None}}]
)
def test_defaults(config: dict[str, Any], api_with: Callable[..., Api]) -> None:
    """Where tenant_config says nothing the settings do."""
    api = api_with(max_agents=1, max_api_keys=1)
    owner = factories.tenant(api, tenant_config=config)["id"]
    agent = factories.agent(api, owner)
    api.error(new_agent(api, owner, "b"), 403, "TENANT_005")
    api.data(new_key(api, agent, "a"))
    api.error(new_key(api, agent, "b"), 403, "KEY_004")


def test_own_quota_wins(api_with: Callable[..., Api]) -> None:
    """A tenant's own quota is over the settings' default, higher or lower."""
    api = api_with(max_agents=1, max_api_keys=2)
    owner = with_quotas(api, max_agents=2, max_api_keys=0)
    agent, _ = factories.agent(api, owner), factories.agent(api, owner)
    api.error(new_agent(api, owner, "c"), 403, "TENANT_005")
    api.error(new_key(api, agent, "a"), 403, "KEY_004")


def test_no_limit(api: Api) -> None:
    """Without a quota anywhere there is no limit."""
    owner = factories.tenant(api)["id"]
    assert [new_agent(api, owner, name).status_code for name in "abcde"] == [200] * 5


def test_change_takes_effect(api: Api) -> None:
    """A raised quota lets more in, a lowered one takes nothing away."""
    owner = with_quotas(api, max_agents=1)
    factories.agent(api, owner)
    raised = {"tenant_config": {"quotas": {"max_agents": 2}}}
    api.data(api.put(f"{TENANTS}/{owner}", raised))
    factories.agent(api, owner)
    lowered = {"tenant_config": {"quotas": {"max_agents": 1}}}
    api.data(api.put(f"{TENANTS}/{owner}", lowered))
    api.error(new_agent(api, owner, "c"), 403, "TENANT_005")
    listed = api.data(api.get("/api/v2/agents", query_string={"tenant_id": owner}))
    assert listed["pagination"]["total"] == 2


def test_deletion_makes_room(api: Api) -> None:
    """What is deleted no longer counts."""
    owner = with_quotas(api, max_agents=1, max_api_keys=1)
    agent = factories.agent(api, owner)
    key = factories.api_key(api, agent)
    api.data(api.delete(f"/api/v2/api-keys/{key['id']}"))
    factories.api_key(api, agent)
    api.data(api.delete(f"/api/v2/agents/{agent['id']}"))
    factories.api_key(api, factories.agent(api, owner))


def test_refused_creation_counts_nothing(api: Api) -> None:
    """A creation that is refused for its name, template or configuration takes no place."""
    owner = with_quotas(api, max_agents=2, max_api_keys=2)
    agent = factories.agent(api, owner, name="a")
    key = factories.api_key(api, agent, name="a")
    refused = {"tenant_id": owner, "name": "b"}
    for body in (
        {**refused, "name": "a"},
        {**refused, "template_id": "tmpl_nope"},
        {**refused, "config": {"config_overrides": {"chat": {"max_context_size": 0}}}},
    ):
        assert api.post("/api/v2/agents", body).status_code in (404, 409, 422)
    assert new_key(api, agent, key["name"]).status_code == 409
    factories.agent(api, owner)
    factories.api_key(api, agent)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("quotas", "paths"),
    [
        ([], ["quotas"]),
        ("many", ["quotas"]),
        ({"max_agents": "5"}, ["quotas.max_agents"]),
        ({"max_agents": 5.0}, ["quotas.max_agents"]),
        ({"max_api_keys": True}, ["quotas.max_api_keys"]),
        ({"max_api_keys": -1, "max_agents": []}, ["quotas.max_agents", "quotas.max_api_keys"]),
        ({"requests_per_minute": 2**53 + 1}, ["quotas.requests_per_minute"]),
        ({"tokens_per_month": 1.5}, ["quotas.tokens_per_month"]),
    ],
)
def test_bad_quotas(method: str, quotas: Any, paths: list[str], api: Api) -> None:
    """A quota that is no whole number from 0 up is 422 with its path."""
    body: dict[str, Any] = {"tenant_config": {"quotas": quotas}}
    if method == "POST":
        answer = api.post(TENANTS, {"tenant_name": "x", "tenant_type": "personal", **body})
    else:
        answer = api.put(f"{TENANTS}/{factories.tenant(api)['id']}", body)
    error = api.error(answer, 422, "VALIDATION_ERROR")
    assert sorted(error["details"]) == [f"tenant_config.{path}" for path in paths]


def test_other_quotas_are_free(api: Api) -> None:
    """What else stands in quotas is kept to the letter."""
    config = {"quotas": {"max_agents": 0, "requests_per_minute": 2**53, "seats": "many"}}
    assert factories.tenant(api, tenant_config=config)["tenant_config"] == config
