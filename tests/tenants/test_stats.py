"""/api/v2/tenants/{id}/stats"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api

NOW = "2026-11-30T12:00:00Z"
NOTHING = {"today": 0, "this_month": 0, "total": 0}
FREE = {"today": "0", "this_month": "0", "total": "0"}


def stats(api: Api, tenant_id: str, at: str = NOW) -> dict[str, Any]:
    """A tenant's numbers at a moment."""
    with time_machine.travel(at, tick=False):
        return api.data(api.get(f"/api/v2/tenants/{tenant_id}/stats"))


def chat(api: Api, tenant_id: str, at: str, **details: Any) -> None:
    """A message at a moment."""
    factories.usage(api, tenant_id, timestamp=at, details=details)


def test_empty(api: Api) -> None:
    """A new tenant has nothing of anything."""
    owner = factories.tenant(api)["id"]
    assert stats(api, owner) == {
        "tenant_id": owner,
        "agents": 0,
        "active_agents": 0,
        "api_keys": {"total": 0, "active": 0, "disabled": 0, "expired": 0},
        "messages": NOTHING,
        "tokens": NOTHING,
        "cost": FREE,
    }


@time_machine.travel(NOW, tick=False)
def test_agents(api: Api) -> None:
    """An agent is active while its last heart-beat counts: 12 h from its creation on."""
    owner = factories.tenant(api)["id"]
    factories.agent(api, owner)
    factories.heart_beat(api, factories.agent(api, owner), 60)
    assert (stats(api, owner)["agents"], stats(api, owner)["active_agents"]) == (2, 2)
    later = stats(api, owner, "2026-11-30T12:01:00Z")
    assert (later["agents"], later["active_agents"]) == (2, 1)
    assert stats(api, owner, "2026-12-01T00:00:00Z")["active_agents"] == 0


@time_machine.travel(NOW, tick=False)
def test_keys(api: Api) -> None:
    """Keys are counted by what they are now; one that is past its time counts as expired only."""
    agent = factories.agent(api)
    factories.api_key(api, agent)
    for expires_at in (None, "2026-11-30T12:00:30Z"):
        key = factories.api_key(api, agent, expires_at=expires_at)
        api.data(api.post(f"/api/v2/api-keys/{key['id']}/disable"))
    factories.api_key(api, agent, expires_at="2026-11-30T12:00:30Z")
    owner = agent["tenant_id"]
    now = stats(api, owner)["api_keys"]
    assert now == {"total": 4, "active": 2, "disabled": 2, "expired": 0}
    later = stats(api, owner, "2026-11-30T12:00:30Z")["api_keys"]
    assert later == {"total": 4, "active": 1, "disabled": 1, "expired": 2}


def test_over_a_month_boundary(api: Api) -> None:
    """Today and this month are those of UTC; the boundary belongs to the new one."""
    owner = factories.tenant(api)["id"]
    for at in (
        "2025-11-30T12:00:00Z",
        "2026-10-31T23:59:59.999999Z",
        "2026-11-01T00:00:00Z",
        "2026-11-29T23:59:59Z",
        "2026-11-30T00:00:00Z",
        "2026-12-01T07:59:59+08:00",
        "2026-12-01T00:00:00Z",
    ):
        chat(api, owner, at, prompt_tokens=10, completion_tokens=1, cost=0.1)
    november = stats(api, owner)
    assert november["messages"] == {"today": 2, "this_month": 4, "total": 7}
    assert november["tokens"] == {"today": 22, "this_month": 44, "total": 77}
    assert november["cost"] == {"today": "0.2", "this_month": "0.4", "total": "0.7"}
    december = stats(api, owner, "2026-12-01T00:00:00Z")
    assert december["messages"] == {"today": 1, "this_month": 1, "total": 7}
    january = stats(api, owner, "2027-01-01T00:00:00Z")
    assert january["messages"] == {"today": 0, "this_month": 0, "total": 7}


def test_only_chats_are_messages(api: Api) -> None:
    """Other actions count their tokens and cost, but are no messages."""
    owner = factories.tenant(api)["id"]
    factories.usage(api, owner, action="embed", timestamp=NOW, details={"tokens_in": 5, "cost": 1})
    found = stats(api, owner)
    assert found["messages"] == NOTHING
    assert (found["tokens"]["today"], found["cost"]["today"]) == (5, "1")


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        ([0.1] * 10, "1"),
        ([0.1, 0.2], "0.3"),
        ([1e-9, 999999.999999999], "1000000"),
        ([1000000000, 0.000000001], "1000000000.000000001"),
        ([10**9] * 20, "20000000000"),
        (["0.000000001", "123456789.987654321"], "123456789.987654322"),
    ],
)
def test_cost_to_the_last_digit(costs: list[Any], total: str, api: Api) -> None:
    """Costs are summed as decimals, whatever they add up to."""
    owner = factories.tenant(api)["id"]
    for cost in costs:
        chat(api, owner, NOW, cost=cost)
    assert stats(api, owner)["cost"] == dict.fromkeys(("today", "this_month", "total"), total)


def test_tokens_beyond_64_bits(api: Api) -> None:
    """Tokens add up to any number."""
    owner = factories.tenant(api)["id"]
    for _ in range(3):
        chat(api, owner, NOW, prompt_tokens=2**53, completion_tokens=2**53)
    assert stats(api, owner)["tokens"]["total"] == 6 * 2**53


def test_of_others(api: Api) -> None:
    """What belongs to another tenant, or to none, is not counted."""
    owner = factories.tenant(api)["id"]
    chat(api, factories.api_key(api)["tenant_id"], NOW, cost=1)
    factories.usage(api, timestamp=NOW)
    found = stats(api, owner)
    assert (found["agents"], found["api_keys"]["total"]) == (0, 0)
    assert (found["messages"], found["cost"]) == (NOTHING, FREE)


def test_usage_outlives_the_agent(api: Api) -> None:
    """What a deleted agent used stays counted."""
    agent = factories.agent(api)
    factories.usage(api, agent["tenant_id"], agent_id=agent["id"], timestamp=NOW)
    api.data(api.delete(f"/api/v2/agents/{agent['id']}"))
    found = stats(api, agent["tenant_id"])
    assert (found["agents"], found["messages"]["total"]) == (0, 1)
