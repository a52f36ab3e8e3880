"""The whole of the control plane as its callers use it: over sockets, with a restart inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests import factories
from tests.contract.harness import Remote
from tests.servers.service import LiveService
from tests.serving.harness import eventually

VALIDATE = "/api/v2/auth/validate-api-key"


class Flow:
    """The steps, in order; each keeps what the next ones need."""

    def __init__(self, caller: Remote) -> None:
        self.caller = caller
        self.tenant_id = ""
        self.agent_id = ""
        self.key: dict[str, Any] = {}

    @property
    def owner(self) -> dict[str, str]:
        """Tenant and agent, as bodies and queries name them."""
        return {"tenant_id": self.tenant_id, "agent_id": self.agent_id}

    @property
    def key_path(self) -> str:
        """The key's own path."""
        return f"/api/v2/api-keys/{self.key['id']}"

    def get(self, path: str, **query: Any) -> Any:
        """What a GET gives, in an envelope or plain."""
        answer = self.caller.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["data"] if isinstance(body, dict) and "success" in body else body

    def make_tenant(self) -> None:
        """Step 1."""
        body = {"tenant_name": "麦麦客服", "tenant_type": "personal", "tenant_config": {"等级": 1}}
        self.tenant_id = self.caller.data("POST", "/api/v2/tenants", body)["tenant_id"]

    def make_agent(self) -> None:
        """Step 2: the contract's sample agent, whose secrets are hidden and all else is kept."""
        sample = factories.sample_agent()
        body = {"tenant_id": self.tenant_id, "name": "小麦", "config": sample["config"]}
        made = self.caller.data("POST", "/api/v2/agents", body)
        self.agent_id = made["agent_id"]
        shown, sent = leaves(made["config"]), leaves(sample["config"])
        assert shown.keys() == sent.keys()
        differing = {path for path in sent if shown[path] != sent[path]}
        assert differing
        assert {shown[path] for path in differing} == {"********"}

    def make_key(self) -> None:
        """Step 3."""
        body = {**self.owner, "name": "生产密钥", "permissions": ["chat", "config_read"]}
        self.key = self.caller.data("POST", "/api/v2/api-keys", body)

    def parse(self) -> None:
        """Step 4."""
        body = {"api_key": self.key["api_key"]}
        parsed = self.caller.data("POST", "/api/v2/auth/parse-api-key", body)
        assert parsed.items() >= {**self.owner, "version": "v1", "format_valid": True}.items()

    def validate(self) -> None:
        """Step 5."""
        body = {"api_key": self.key["api_key"], "required_permission": "chat"}
        found = self.caller.data("POST", VALIDATE, body)
        assert found == {
            **self.owner,
            "valid": True,
            "api_key_id": self.key["id"],
            "permissions": ["chat", "config_read"],
            "has_permission": True,
            "status": "active",
        }

    def check_permission(self) -> None:
        """Step 6."""
        for permission, has in (("config_read", True), ("config_write", False)):
            body = {"api_key": self.key["api_key"], "permission": permission}
            found = self.caller.data("POST", "/api/v2/auth/check-permission", body)
            assert found["has_permission"] is has

    def beat(self) -> None:
        """Step 7."""
        path = "/api/v2/agent-activity"
        self.caller.data("PUT", path, {**self.owner, "ttl_seconds": 3600})
        assert self.get(path, tenant_id=self.tenant_id)["count"] == 1

    def overlay_plugins(self) -> None:
        """Step 8: the tenant's settings, overlaid by the agent's."""
        path = "/api/v1/plugins/settings"
        for scope, enabled in (({"tenant_id": self.tenant_id}, True), (self.owner, False)):
            body = {"plugin_name": "weather", "enabled": enabled, "config": {"city": "上海"}}
            assert self.caller.client.post(path, params=scope, json=body).status_code == 200
        assert self.get(path, tenant_id=self.tenant_id)[0]["enabled"] is True
        assert self.get(path, **self.owner)[0]["enabled"] is False

    def update_in_part(self) -> None:
        """Step 9: what isn't named stays, the hidden secrets too."""
        path = f"/api/v2/agents/{self.agent_id}/config"
        before = leaves(self.get(path))
        after = leaves(self.caller.data("PUT", path, {"persona": {"personality": "冷静"}}))
        assert after == {**before, "persona.personality": "冷静"}

    def compare_versions(self) -> None:
        """Step 10."""
        path = f"/api/v2/agents/{self.agent_id}/config/versions"
        assert [item["version"] for item in self.get(path)["items"]] == [2, 1]
        changes = self.get(f"{path}/1/diff", to=2)["changes"]
        assert [change["path"] for change in changes] == ["persona.personality"]

    def roll_back(self) -> None:
        """Step 11."""
        path = f"/api/v2/agents/{self.agent_id}/config"
        first = self.get(f"{path}/versions/1")["config"]["persona"]
        rolled = self.caller.data("POST", f"{path}/rollback", {"version": 1})
        assert rolled["persona"] == first
        assert self.get(f"{path}/versions")["pagination"]["total"] == 3

    def rotate(self) -> None:
        """Step 12: the same id, another secret, and the old one is unknown at once."""
        old = self.key["api_key"]
        self.key = self.caller.data("POST", f"{self.key_path}/rotate")
        assert self.key["api_key"] != old
        assert self.caller.refusal("POST", VALIDATE, {"api_key": old}) == (401, "AUTH_005")
        self.validate()

    def disable(self) -> None:
        """Step 13."""
        assert self.caller.data("POST", f"{self.key_path}/disable")["status"] == "disabled"
        body = {"api_key": self.key["api_key"]}
        assert self.caller.refusal("POST", VALIDATE, body) == (401, "AUTH_004")

    def log_usage(self) -> None:
        """Step 14."""
        details = {"model": "qwen-turbo", "prompt_tokens": 120, "completion_tokens": 40}
        body = {**self.owner, "action": "chat", "details": details}
        self.caller.data("POST", "/api/v1/usage/log", body)

    def report_usage(self, requests: int) -> None:
        """Step 15: as JSON and as CSV."""
        query = {"tenant_id": self.tenant_id, "group_by": "model"}
        totals = self.get("/api/v2/usage", **query)["totals"]
        assert (totals["requests"], totals["tokens_in"]) == (requests, 120 * requests)
        csv = self.caller.client.get("/api/v2/usage", params=query, headers={"Accept": "text/csv"})
        assert csv.headers["Content-Type"].startswith("text/csv")
        assert "qwen-turbo" in csv.text

    def read_audit(self, *actions: str) -> None:
        """Step 16: each change is there, and no secret."""
        query = {"tenant_id": self.tenant_id, "page_size": 100}
        found = self.get("/api/v2/audit-logs", **query)["items"]
        assert {entry["action"] for entry in found} >= set(actions)
        text = str(found)
        assert self.key["api_key"] not in text
        assert "sk-" not in text

    def delete_all(self) -> None:
        """Step 17: the tenant, and with it all that was its own."""
        gone = self.caller.data("DELETE", f"/api/v2/tenants/{self.tenant_id}")
        assert gone["deleted"].items() >= {"agents": 1, "api_keys": 1}.items()
        for path, code in (
            (f"/api/v2/tenants/{self.tenant_id}", "TENANT_001"),
            (f"/api/v2/agents/{self.agent_id}", "AGENT_001"),
            (self.key_path, "KEY_001"),
            (f"/api/v1/plugins/settings?tenant_id={self.tenant_id}", "TENANT_001"),
        ):
            assert self.caller.refusal("GET", path) == (404, code)
        body = {"api_key": self.key["api_key"]}
        assert self.caller.refusal("POST", VALIDATE, body) == (401, "AUTH_005")

    def everything(self) -> dict[str, Any]:
        """All that can be read of it."""
        tenant, agent = f"/api/v2/tenants/{self.tenant_id}", f"/api/v2/agents/{self.agent_id}"
        of = {"tenant_id": self.tenant_id}
        return {
            "tenant": self.get(tenant),
            "stats": self.get(f"{tenant}/stats"),
            "tenants": self.get("/api/v2/tenants"),
            "agent": self.get(agent),
            "effective": self.get(f"{agent}/config/effective", explain=1),
            "versions": self.get(f"{agent}/config/versions"),
            "key": self.get(self.key_path),
            "keys": self.get("/api/v2/api-keys", **of),
            "alive": self.get("/api/v2/agent-activity", **of),
            "plugins": self.get("/api/v1/plugins/settings", **self.owner),
            "usage": self.get("/api/v2/usage", group_by="action", **of),
            "audit": self.get("/api/v2/audit-logs", **of),
        }


def leaves(config: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a configuration by their paths."""
    if isinstance(config, dict) and config:
        parts = config.items()
    elif isinstance(config, list) and config:
        parts = enumerate(config)
    else:
        return {path: config}
    found: dict[str, Any] = {}
    for name, part in parts:
        found |= leaves(part, f"{path}.{name}" if path else str(name))
    return found


def test_whole_flow(live_service: Callable[..., LiveService], database_url: str) -> None:
    """From an empty database to an empty one, and a restart in the middle loses nothing."""
    service = live_service(database_url, "--auto-migrate")
    with Remote(service.internal) as caller:
        flow = Flow(caller)
        flow.make_tenant()
        flow.make_agent()
        flow.make_key()
        flow.parse()
        flow.validate()
        flow.check_permission()
        flow.beat()
        flow.overlay_plugins()
        flow.update_in_part()
        flow.log_usage()
        eventually(lambda: caller.usage_count(flow.key) == 1)
        before = flow.everything()
    assert service.stop() == 0
    service.start()
    with Remote(service.internal) as caller:
        flow.caller = caller
        assert flow.everything() == before
        flow.validate()
        flow.compare_versions()
        flow.roll_back()
        flow.rotate()
        flow.disable()
        flow.log_usage()
        flow.report_usage(2)
        flow.read_audit(
            "tenant.create", "agent.create", "agent.config", "api_key.create", "api_key.rotate",
            "api_key.disable",
        )  # fmt: skip
        flow.delete_all()
        flow.read_audit("tenant.delete")
        assert flow.get("/api/v2/tenants")["pagination"]["total"] == 0
