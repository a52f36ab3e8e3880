"""The way of a user through the public plane, as contract/users.md tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.servers.service import LiveService

API = "/api/v1"
PASSWORD = "correct horse battery"


def body(answer: httpx.Response, status: int = 200) -> Any:
    """What an answer shows; a redirect isn't one."""
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_whole_way(
    slash: str, live_service: Callable[..., LiveService], database_url: str
) -> None:
    """Register, log in, own an agent and a key, use the key, survive a restart, refresh, leave."""
    service = live_service(database_url, "--auto-migrate")
    with httpx.Client(base_url=service.public) as client:

        def call(method: str, path: str, status: int = 200, **options: Any) -> Any:
            return body(client.request(method, f"{API}{path}{slash}", **options), status)

        newcomer = {"username": "xiaoming", "password": PASSWORD, "email": "x@example.com"}
        made = call("POST", "/auth/register", json=newcomer)
        form = {"username": "xiaoming", "password": PASSWORD}
        tokens = call("POST", "/auth/login", data=form)
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        assert call("GET", "/auth/me") == {**made, "permissions": []}
        (tenant,) = call("GET", "/tenants")
        agent = call("POST", "/agents", json={"name": "小麦"})
        assert agent["tenant_id"] == tenant["id"]
        assert call("GET", "/agents") == [agent]
        call("PUT", f"/agents/{agent['id']}", json={"description": "售后"})
        key = call("POST", f"/agents/{agent['id']}/api_keys", json={"name": "k"})
        checked = httpx.post(
            f"{service.internal}/api/v2/auth/validate-api-key", json={"api_key": key["api_key"]}
        )
        assert body(checked)["data"]["agent_id"] == agent["id"]
        plugin = {"plugin_name": "order_query", "enabled": True, "config": {"a": 1}}
        query = {"agent_id": agent["id"]}
        stored = call("POST", "/plugins/settings", json=plugin, params=query)
        assert call("GET", "/plugins/settings", params=query) == [stored]
        assert call("GET", "/system/models")
        assert call("GET", "/system/bot-defaults")

        service.restart()
        client.base_url = httpx.URL(service.public)
        assert call("GET", f"/agents/{agent['id']}")["description"] == "售后"
        old = {"refresh_token": tokens["refresh_token"]}
        tokens = call("POST", "/auth/refresh", json=old)
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        call("DELETE", f"/agents/{agent['id']}/api_keys/{key['id']}", 204)
        assert call("GET", f"/agents/{agent['id']}/api_keys") == []
        call("DELETE", f"/agents/{agent['id']}", 204)
        assert call("GET", f"/agents/{agent['id']}", 404)["error_code"] == "AGENT_001"
        call("POST", "/auth/logout", 204)
        assert call("GET", "/auth/me", 401)["error_code"] == "AUTH_006"
    for secret in (PASSWORD, tokens["access_token"], tokens["refresh_token"], key["api_key"]):
        assert secret not in service.log
