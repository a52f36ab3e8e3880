"""/api/v1/plugins on the public plane: plugin settings of a user's own agents"""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import Person

URL = "/api/v1/plugins/settings"
STORED = {"plugin_name": "order_query", "enabled": True, "config": {"a": 1}}


@pytest.fixture
def alice(public: Api) -> Person:
    """Somebody with a personal tenant."""
    return users.person(public)


@pytest.fixture
def of_agent(alice: Person) -> dict[str, Any]:
    """The query that names an agent of hers."""
    return {"agent_id": alice.made("/api/v1/agents/", {"name": "a"})["id"]}


def test_store_and_list(alice: Person, of_agent: dict[str, Any]) -> None:
    """What is stored is listed, and stored over when it comes again."""
    made = alice.made(URL, STORED, query_string=of_agent)
    assert {name: made[name] for name in STORED} == STORED
    assert alice.found(URL, query_string=of_agent) == [made]
    again = alice.made(URL, {**STORED, "enabled": False}, query_string=of_agent)
    assert again["enabled"] is False
    assert alice.found(URL, query_string=of_agent) == [again]


def test_over_those_of_the_tenant(alice: Person, of_agent: dict[str, Any], api: Api) -> None:
    """An agent's list shows its tenant's settings too, its own over them."""
    (tenant,) = alice.found("/api/v1/tenants/")
    for name in ("order_query", "weather"):
        factories.plugin_setting(api, tenant["id"], plugin_name=name, config={"of": "tenant"})
    alice.made(URL, STORED, query_string=of_agent)
    found = {one["plugin_name"]: one["config"] for one in alice.found(URL, query_string=of_agent)}
    assert found == {"order_query": {"of": "tenant", "a": 1}, "weather": {"of": "tenant"}}


def test_delete(alice: Person, of_agent: dict[str, Any], public: Api) -> None:
    """A deletion is 204, and 404 the second time."""
    alice.made(URL, STORED, query_string=of_agent)
    named = {**of_agent, "plugin_name": "order_query"}
    answer = alice.delete(URL, query_string=named)
    assert (answer.status_code, answer.data) == (204, b"")
    assert alice.found(URL, query_string=of_agent) == []
    public.error(alice.delete(URL, query_string=named), 404, "NOT_FOUND")


def test_anothers_agent(public: Api, of_agent: dict[str, Any]) -> None:
    """Another's agent is as unknown as none, for every call."""
    bob = users.person(public)
    for query in (of_agent, {"agent_id": "agent_nope"}):
        public.error(bob.get(URL, query_string=query), 404, "AGENT_001")
        public.error(bob.post(URL, STORED, query_string=query), 404, "AGENT_001")
        named = {**query, "plugin_name": "order_query"}
        public.error(bob.delete(URL, query_string=named), 404, "AGENT_001")


@pytest.mark.parametrize("query", [{}, {"agent_id": "x\0"}])
def test_no_agent(query: dict[str, str], alice: Person, public: Api) -> None:
    """Without an agent nothing is asked for."""
    answer = alice.get(URL, query_string=query)
    assert list(public.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["agent_id"]


def test_a_tenant_is_not_enough(alice: Person, public: Api) -> None:
    """The way in by tenant_id, which needs no login, isn't on this plane."""
    (tenant,) = alice.found("/api/v1/tenants/")
    for who in (public, alice):
        answer = who.get(URL, query_string={"tenant_id": tenant["id"]})
        assert answer.status_code == (401 if who is public else 422)
