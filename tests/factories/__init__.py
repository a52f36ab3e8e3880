"""Objects that tests need, made through the API; a test shows only what matters to it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.api import Api

_numbers = itertools.count(1)
_SAMPLE = Path(__file__).parent.parent / "data" / "sample-agent.json"


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


def heart_beat(api: Api, owner: dict[str, Any], ttl_seconds: int = 60) -> dict[str, Any]:
    """A heart-beat of an agent."""
    body = {
        "tenant_id": owner["tenant_id"],
        "agent_id": owner["id"],
        "ttl_seconds": ttl_seconds,
    }
    return api.data(api.put("/api/v2/agent-activity", body))


def plugin_setting(
    api: Api, tenant_id: str, agent_id: str | None = None, **given: Any
) -> dict[str, Any]:
    """A setting of an enabled plugin, of a tenant or of one of its agents."""
    scope = {"tenant_id": tenant_id, **({"agent_id": agent_id} if agent_id else {})}
    body = {"plugin_name": f"plugin_{next(_numbers)}", "enabled": True, "config": {}, **given}
    answer = api.post("/api/v1/plugins/settings", body, query_string=scope)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def usage(api: Api, tenant_id: str | None = None, **given: Any) -> dict[str, Any]:
    """An entry of the usage log, of a chat unless another action is given."""
    body = {"action": "chat", "tenant_id": tenant_id, **given}
    return api.data(api.post("/api/v1/usage/log", body))


def chat(api: Api, owner: dict[str, Any], message: str = "你好", **given: Any) -> dict[str, Any]:
    """A message to an agent, in a stream of its own unless one is named; the answer."""
    body = {"tenant_id": owner["tenant_id"], "agent_id": owner["id"], "message": message, **given}
    return api.data(api.post("/api/v2/chat", body))


def sample_agent() -> dict[str, Any]:
    """The contract's sample agent, which uses every section of a configuration."""
    return json.loads(_SAMPLE.read_text("utf-8"))


def provider(name: str = "own", **given: Any) -> dict[str, Any]:
    """A custom AI provider with a key, for a configuration."""
    return {
        "name": name,
        "base_url": f"https://{name}.example.com/v1",
        "api_key": f"sk-{name}-secret",
        **given,
    }


def providers(*given: dict[str, Any]) -> dict[str, Any]:
    """A configuration with these custom AI providers."""
    return {"config_overrides": {"model": {"api_providers": list(given)}}}


def audit_entries(api: Api, **filters: Any) -> list[dict[str, Any]]:
    """The changes that were kept, newest first."""
    query = {"page_size": 100, **filters}
    return api.data(api.get("/api/v2/audit-logs", query_string=query))["items"]
