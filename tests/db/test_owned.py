"""With a thing all goes that belongs to it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from maimconfig.db.base import Base
from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api


def rows_left(runtime: Runtime, ids: set[str]) -> dict[str, int]:
    """How many rows of each table refer to one of some things."""
    left: dict[str, int] = {}
    with runtime.database.reader.connect() as connection:
        for table in Base.metadata.sorted_tables:
            for key in table.foreign_keys:
                found = select(func.count()).select_from(table).where(key.parent.in_(ids))
                if number := connection.scalar(found):
                    left[f"{table.name}.{key.parent.name}"] = number
    return left


def filled(api: Api, tenant_id: str) -> tuple[list[dict[str, Any]], set[str]]:
    """Two agents with keys, settings, chats and conversations; and the ids of all that."""
    agents = [factories.agent(api, tenant_id, tags=["a", "b"]) for _ in range(2)]
    keys = [factories.api_key(api, agent) for agent in (*agents, *agents, agents[0])]
    for agent in agents:
        factories.plugin_setting(api, tenant_id, agent["id"])
        factories.chat(api, agent)
    for key in keys:
        for user in ("u", "v"):
            answer = api.post(
                "/api/v1/chat/sessions",
                {"user_id": user, "agent_type": "human"},
                headers={"Authorization": f"Bearer {key['api_key']}"},
            )
            assert answer.status_code == 200
    return agents, {tenant_id, *(one["id"] for one in (*agents, *keys))}


@pytest.mark.parametrize("what", ["tenant", "agents"])
def test_nothing_is_left(what: str, api: Api, runtime: Runtime) -> None:
    """No row refers to a tenant, an agent or a key that was deleted, by whatever way."""
    tenant_id = factories.tenant(api, tenant_type="enterprise")["id"]
    agents, ids = filled(api, tenant_id)
    _, of_others = filled(api, factories.tenant(api, tenant_type="enterprise")["id"])
    before = rows_left(runtime, of_others)
    assert before.keys() == rows_left(runtime, ids).keys()
    if what == "tenant":
        api.data(api.delete(f"/api/v2/tenants/{tenant_id}"))
    else:
        for agent in agents:
            api.data(api.delete(f"/api/v2/agents/{agent['id']}"))
        ids.remove(tenant_id)
    assert rows_left(runtime, ids) == {}
    assert rows_left(runtime, of_others) == before
