"""The way of a user through the public plane by curl, with a restart in the middle."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers.service import LiveService

PASSWORD = "correct horse battery"
MARK = "\n%{http_code} %{num_redirects}"


class Curl:
    """Runs curl, and shows what came of it."""

    def __init__(self, service: LiveService, slash: str) -> None:
        self.service = service
        self.slash = slash
        self.token: str | None = None

    def __call__(self, method: str, path: str, *options: str, status: int = 200) -> Any:
        """A call; what its answer shows."""
        path, _, query = path.partition("?")
        url = f"{self.service.public}/api/v1{path}{self.slash}{'?' if query else ''}{query}"
        login = ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        ran = subprocess.run(
            ["curl", "-s", "-X", method, "-w", MARK, *login, *options, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        body, _, told = ran.stdout.rpartition("\n")
        assert told == f"{status} 0", ran.stdout
        return json.loads(body) if body else None

    def send(self, method: str, path: str, body: Any, status: int = 200) -> Any:
        """A call with a JSON body."""
        given = ("-H", "Content-Type: application/json", "-d", json.dumps(body))
        return self(method, path, *given, status=status)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_whole_way(
    slash: str, live_service: Callable[..., LiveService], database_url: str
) -> None:
    """Register, log in by a form and by JSON, own an agent, a key and a plugin setting, survive a
    restart, refresh, change the password, leave: with and without a slash, never redirected."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    service = live_service(database_url, "--auto-migrate")
    curl = Curl(service, slash)
    user = {"username": "xiaoming", "password": PASSWORD}
    curl.send("POST", "/auth/register", {**user, "email": "x@example.com"})
    curl.send("POST", "/auth/register", user, status=409)
    form = ("-d", "username=xiaoming", "--data-urlencode", f"password={PASSWORD}")
    tokens = curl("POST", "/auth/login", *form)
    curl.token = tokens["access_token"]
    assert curl("GET", "/auth/me")["username"] == "xiaoming"
    curl.send("POST", "/auth/login", {"email": "x@example.com", "password": PASSWORD})
    assert len(curl("GET", "/auth/sessions")) == 2
    (tenant,) = curl("GET", "/tenants")
    assert tenant["tenant_name"] == "xiaoming's Personal Tenant"
    curl.send("POST", "/tenants", {"tenant_name": "shop"})
    agent = curl.send("POST", "/agents", {"name": "小麦"})
    path = f"/agents/{agent['id']}"
    curl.send("PUT", path, {"description": "售后"})
    key = curl.send("POST", f"{path}/api_keys", {"name": "k"})
    assert key["api_key"].startswith("mmc_")
    settings = f"/plugins/settings?agent_id={agent['id']}"
    curl.send("POST", settings, {"plugin_name": "order_query", "enabled": True})

    service.restart()
    assert curl("GET", path)["description"] == "售后"
    assert [found["plugin_name"] for found in curl("GET", settings)] == ["order_query"]
    assert curl("GET", "/system/models")
    assert curl("GET", "/system/bot-defaults")
    fresh = curl.send("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    curl.token = fresh["access_token"]
    change = {"old_password": PASSWORD, "new_password": "another password"}
    curl.send("POST", "/auth/change-password", change, status=204)
    assert len(curl("GET", "/auth/sessions")) == 1
    curl("DELETE", f"{path}/api_keys/{key['id']}", status=204)
    curl("DELETE", path, status=204)
    assert curl("GET", path, status=404)["error_code"] == "AGENT_001"
    assert curl("GET", "/agents") == []
    curl("GET", "/admin/users", status=403)
    curl("POST", "/auth/logout", status=204)
    assert curl("GET", "/auth/me", status=401)["error_code"] == "AUTH_006"
