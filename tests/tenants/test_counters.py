"""agent_count and api_key_count stay right, whichever way an agent or a key comes or goes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from maimconfig.agents.models import Agent
from maimconfig.api_keys.models import ApiKey
from maimconfig.runtime import Runtime
from maimconfig.tenants.models import Tenant
from tests import factories
from tests.api import Api
from tests.parallel import at_once, delete, post, statuses


def counted(runtime: Runtime, tenant_id: str) -> tuple[int, int]:
    """The counters of a tenant, once they are what counting the rows gives."""

    def look(session: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        rows = tuple(
            session.scalar(select(func.count()).where(model.tenant_id == tenant_id))
            for model in (Agent, ApiKey)
        )
        tenant = session.get(Tenant, tenant_id)
        return rows, (tenant.agent_count, tenant.api_key_count)

    rows, counters = runtime.read(look)
    assert counters == rows
    return counters


def test_creation_and_deletion(api: Api, runtime: Runtime) -> None:
    """Each creation counts one up, each deletion one down; an agent takes its keys along."""
    owner = factories.tenant(api)["id"]
    one, two = factories.agent(api, owner), factories.agent(api, owner)
    keys = [factories.api_key(api, agent) for agent in (one, one, one, two)]
    assert counted(runtime, owner) == (2, 4)
    api.data(api.delete(f"/api/v2/api-keys/{keys[0]['id']}"))
    assert counted(runtime, owner) == (2, 3)
    api.data(api.delete(f"/api/v2/agents/{one['id']}"))
    assert counted(runtime, owner) == (1, 1)


def test_twice(api: Api, runtime: Runtime) -> None:
    """A second deletion counts nothing."""
    agent = factories.agent(api)
    key = factories.api_key(api, agent)
    for _ in range(2):
        api.delete(f"/api/v2/api-keys/{key['id']}")
    assert counted(runtime, agent["tenant_id"]) == (1, 0)
    for _ in range(2):
        api.delete(f"/api/v2/agents/{agent['id']}")
    assert counted(runtime, agent["tenant_id"]) == (0, 0)


def test_refused(api: Api, runtime: Runtime) -> None:
    """A creation whose name is taken, and a deletion from an old ETag, count nothing."""
    agent = factories.agent(api, name="a")
    key = factories.api_key(api, agent, name="k")
    stale = {"If-Match": '"99"'}
    api.post("/api/v2/agents", {"tenant_id": agent["tenant_id"], "name": "a"})
    api.post(f"/api/v2/agents/{agent['id']}/clone", {"name": "a"})
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "name": "k"}
    api.post("/api/v2/api-keys", body)
    api.delete(f"/api/v2/agents/{agent['id']}", headers=stale)
    api.delete(f"/api/v2/api-keys/{key['id']}", headers=stale)
    assert counted(runtime, agent["tenant_id"]) == (1, 1)


def test_clone(api: Api, runtime: Runtime) -> None:
    """A clone counts in the tenant that gets it."""
    agent, other = factories.agent(api), factories.tenant(api)["id"]
    path = f"/api/v2/agents/{agent['id']}/clone"
    api.data(api.post(path, {"name": "b", "tenant_id": other}))
    assert counted(runtime, agent["tenant_id"]) == (1, 0)
    assert counted(runtime, other) == (1, 0)


def test_all_at_once(api: Api, runtime: Runtime) -> None:
    """Agents and keys of one tenant that come and go at the same time are counted right."""
    owner = factories.tenant(api)["id"]
    agents = [factories.agent(api, owner) for _ in range(4)]
    keys = [factories.api_key(api, agent) for agent in agents for _ in range(2)]
    calls = [delete(f"/api/v2/agents/{agent['id']}") for agent in agents[:2]]
    calls += [delete(f"/api/v2/api-keys/{key['id']}") for key in keys]
    for number in range(8):
        calls.append(post("/api/v2/agents", {"tenant_id": owner, "name": f"new {number}"}))
        of = {"tenant_id": owner, "agent_id": agents[number % 4]["id"], "name": f"new {number}"}
        calls.append(post("/api/v2/api-keys", of))
    answers = at_once(api, calls)
    assert set(statuses(answers)) <= {200, 404}
    # Whoever asked for a deleted agent's or its key's deletion was told so, nobody else failed.
    assert statuses(answers)[200] >= 2 + 4 + 8 + 4
    assert counted(runtime, owner)[0] == 4 - 2 + 8
