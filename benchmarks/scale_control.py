"""The rows of the control plane: users, tenants, agents, keys, plugins."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.scale_ids import Ids, Row, one_of
from maimconfig.api_keys.service import context_of


class ControlPlane(Ids):
    """Makes a row of each kind, by its number."""

    def user_row(self, number: int) -> Row:
        name = f"user{number}"
        return {
            "id": self.user_id(number), "username": name, "folded_username": name,
            "email": f"{name}@example.com", "folded_email": f"{name}@example.com",
            "full_name": None, "password_hash": "-",
            "status": one_of(number, "active", "suspended"),
            "role": ("user", "agent", "supervisor")[number % 3], "serves_all_tenants": True,
            "last_login_at": self.moment(number, self.sizes.users), "revision": 1,
            **self.dated(number, self.sizes.users),
        }  # fmt: skip

    def login_row(self, number: int) -> Row:
        made = self.moment(number, self.sizes.users)
        return {
            "id": self.id("login", number, self.sizes.users),
            "user_id": self.user_id(self.owner(number, self.sizes.users)),
            "nonce": "-", "generation": 1, "rotated_at": made, "created_at": made,
            "expires_at": made + timedelta(days=30), "ended_at": made if number % 4 else None,
            "address": "192.0.2.1", "user_agent": "scale",
        }  # fmt: skip

    def tenant_row(self, number: int) -> Row:
        name = f"tenant {number}"
        agents = sum(1 for one in range(self.sizes.agents) if one % 2 == 0) if number == 0 else 0
        return {
            "id": self.tenant_id(number), "tenant_name": name, "folded_name": name,
            "tenant_type": one_of(number, "enterprise", "personal"), "tenant_config": {},
            "permission_groups": {}, "status": one_of(number, "active", "inactive"),
            "owner_id": self.user_id(min(number, self.sizes.users - 1)), "agent_count": agents,
            "api_key_count": self.sizes.api_keys // 2 if number == 0 else 0, "revision": 1,
            "description": None, "contact_email": None,
            **self.dated(number, self.sizes.tenants),
        }  # fmt: skip

    def template_row(self, number: int) -> Row:
        tenant = self.tenant_id(0) if number % 2 == 0 else None
        return {
            "id": self.id("tmpl", number, self.sizes.tenants), "tenant_id": tenant,
            "scope": tenant or "", "name": f"template {number}", "description": None,
            "category": one_of(number, "service", "fun"), "tags": [], "config": {},
            "is_builtin": False, "revision": 1, **self.dated(number, self.sizes.tenants),
        }  # fmt: skip

    def agent_row(self, number: int) -> Row:
        name = f"agent {number}"
        config = {"persona": {"personality": "耐心细致" * 20}, "bot_overrides": {"nickname": name}}
        return {
            "id": self.agent_id(number), "tenant_id": self.tenant_id(self.tenant_of(number)),
            "name": name, "folded_name": name, "description": None, "template_id": None,
            "config": config, "tags": [f"tag{number // 2 % 5}"], "config_version": 1,
            "status": one_of(number, "active", "inactive"), "revision": 1,
            **self.dated(number, self.sizes.agents),
        }  # fmt: skip

    def tag_row(self, number: int) -> Row:
        return {
            "agent_id": self.agent_id(number), "tag": f"tag{number // 2 % 5}",
            "tenant_id": self.tenant_id(self.tenant_of(number)),
        }  # fmt: skip

    def activity_row(self, number: int) -> Row:
        # Of the first tenant a tenth is alive, of the others half.
        alive = number % 20 == 0 or number % 4 == 1
        until = self.now + timedelta(days=1) if alive else self.moment(number, self.sizes.agents)
        return {
            "agent_id": self.agent_id(number),
            "tenant_id": self.tenant_id(self.tenant_of(number)), "last_seen_at": self.now,
            "expires_at": until, "ttl_seconds": 300, "watched_until": until if alive else None,
        }  # fmt: skip

    def version_row(self, number: int) -> Row:
        # The first agent has a twentieth of all.
        first = number < self.sizes.agents // 10
        agent = 0 if first else number % self.sizes.agents
        version = number + 1 if first else 2 * self.sizes.agents + number
        return {
            "agent_id": self.agent_id(agent), "version": version, "action": "update",
            "tenant_id": self.tenant_id(self.tenant_of(agent)), "actor": "internal",
            "changes": [], "config": {"bot_overrides": {"nickname": f"n{number}"}},
            "created_at": self.moment(number, self.sizes.agents * 2),
        }  # fmt: skip

    def key_row(self, number: int) -> Row:
        expires = self.now - timedelta(days=1) if number % 10 == 4 else None
        key_id = self.key_id(number)
        return {
            "id": key_id, "tenant_id": self.tenant_id(self.tenant_of(number)),
            "agent_id": self.agent_id(self.agent_of(number)), "name": f"key {number}",
            "description": None,
            "sealed_secret": self.encrypt(self.secret(number), context_of(key_id)),
            "permissions": ["chat"], "status": one_of(number, "active", "disabled"),
            "disabled_at": None, "expires_at": expires, "rate_limit": None, "allowed_ips": [],
            "usage_count": number, "last_used_at": None, "revision": 1,
            **self.dated(number, self.sizes.api_keys),
        }  # fmt: skip

    def secret_row(self, number: int) -> Row:
        return {
            "secret_hash": self.key_hash(self.secret(number)), "api_key_id": self.key_id(number),
            "sealed_secret": "-", "retires_at": None,
        }  # fmt: skip

    def plugin_row(self, number: int) -> Row:
        of_tenant = number < 20
        agent = None if of_tenant else self.agent_id(self.agent_of(number))
        tenant = self.tenant_id(0 if of_tenant else self.tenant_of(number))
        return {
            "scope_id": agent or tenant, "plugin_name": f"plugin {number}", "tenant_id": tenant,
            "agent_id": agent, "enabled": True, "config": {"level": number},
            **self.dated(number, self.sizes.agents),
        }  # fmt: skip
