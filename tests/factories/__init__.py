"""Objects that tests need, made through the API; a test shows only what matters to it."""

from __future__ import annotations

import itertools
from typing import Any

from tests.api import Api

_numbers = itertools.count(1)


def tenant(api: Api, **given: Any) -> dict[str, Any]:
    """A tenant with a name of its own."""
    body = {"tenant_name": f"tenant {next(_numbers)}", "tenant_type": "enterprise", **given}
    return api.data(api.post("/api/v2/tenants", body))


def agent(api: Api, tenant_id: str | None = None, **given: Any) -> dict[str, Any]:
    """An agent, of a tenant of its own unless one is given."""
    owner = tenant_id or tenant(api)["id"]
    body = {"tenant_id": owner, "name": f"agent {next(_numbers)}", **given}
    return api.data(api.post("/api/v2/agents", body))


def api_key(api: Api, owner: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """A key with the permission `chat`, of an agent of its own unless one is given."""
    of = owner or agent(api)
    body = {
        "tenant_id": of["tenant_id"],
        "agent_id": of["id"],
        "name": f"key {next(_numbers)}",
        "permissions": ["chat"],
        **given,
    }
    return api.data(api.post("/api/v2/api-keys", body))


def template(api: Api, **given: Any) -> dict[str, Any]:
    """A template for all tenants unless one is given."""
    body = {"name": f"template {next(_numbers)}", "config": {"persona": "一个模板"}, **given}
    return api.data(api.post("/api/v2/agent-templates", body))
