"""Tenants and what is theirs, as a document that can be carried in elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from maimconfig import clock
from maimconfig.agents import config_secrets, configuration
from maimconfig.agents.models import Agent
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.moving.errors import MovingError
from maimconfig.moving.schemas import VERSION
from maimconfig.plugins.models import PluginSetting
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants.models import Tenant

_TENANT = ("id", "tenant_name", "tenant_type", "description", "contact_email", "status",
           "owner_id", "tenant_config", "permission_groups")  # fmt: skip
_TEMPLATE = ("id", "name", "description", "category", "tags")
_AGENT = ("id", "name", "description", "status", "tags")
_KEY = ("id", "name", "description", "permissions", "status", "rate_limit", "allowed_ips")
_PLUGIN = ("plugin_name", "enabled", "config")


def document_of(
    session: Session, *, names: Sequence[str] = (), with_secrets: bool = False
) -> dict[str, Any]:
    """The document of some tenants, or of all, the first one first.

    Args:
        names: of the tenants; all, and the templates for all tenants, when empty.
        with_secrets: secrets in the clear, and API keys; else secrets are masked, and an import
            keeps those that are stored there.

    Raises:
        MovingError: there is no tenant of a name.
    """
    wanted = select(Tenant).order_by(Tenant.created_at, Tenant.id)
    if names:
        wanted = wanted.where(Tenant.tenant_name.in_(names))
    found = session.scalars(wanted).all()
    missing = set(names) - {tenant.tenant_name for tenant in found}
    if missing:
        raise MovingError(f"There is no tenant {sorted(missing)[0]}.")
    export = _Export(session, with_secrets)
    document: dict[str, Any] = {"maimconfig": VERSION}
    if not names:
        document["templates"] = export.templates("")
    return {**document, "tenants": [export.tenant(tenant) for tenant in found]}


class _Export:
    def __init__(self, session: Session, with_secrets: bool) -> None:
        self._session = session
        self._with_secrets = with_secrets
        templates = session.execute(select(AgentTemplate.id, AgentTemplate.name))
        self._names = {template.id: template.name for template in templates}

    def tenant(self, tenant: Tenant) -> dict[str, Any]:
        settings = self._session.scalars(
            select(PluginSetting)
            .where(PluginSetting.tenant_id == tenant.id)
            .order_by(PluginSetting.plugin_name)
        ).all()
        agents = self._session.scalars(
            select(Agent).where(Agent.tenant_id == tenant.id).order_by(Agent.created_at, Agent.id)
        )
        plugins = _by_agent(settings)
        keys = _by_agent(self._keys(tenant) if self._with_secrets else [])
        return {
            **_picked(tenant, _TENANT),
            **_unless_empty(
                templates=self.templates(tenant.id),
                plugins=_plugins(plugins[None]),
                agents=[self._agent(agent, plugins[agent.id], keys[agent.id]) for agent in agents],
            ),
        }

    def templates(self, scope: str) -> list[dict[str, Any]]:
        """Those of a tenant, or for all; what is built in is everywhere."""
        found = self._session.scalars(
            select(AgentTemplate)
            .where(AgentTemplate.scope == scope, AgentTemplate.is_builtin.is_(False))
            .order_by(AgentTemplate.created_at, AgentTemplate.id)
        )
        return [
            {**_picked(template, _TEMPLATE), "config": self._config(template.config)}
            for template in found
        ]

    def _agent(
        self, agent: Agent, plugins: list[PluginSetting], keys: list[ApiKey]
    ) -> dict[str, Any]:
        return {
            **_picked(agent, _AGENT),
            "template": self._names[agent.template_id] if agent.template_id else None,
            "config": self._config(agent.config),
            **_unless_empty(plugins=_plugins(plugins), api_keys=[self._key(key) for key in keys]),
        }

    def _keys(self, tenant: Tenant) -> Sequence[ApiKey]:
        own = select(ApiKey).where(ApiKey.tenant_id == tenant.id)
        return self._session.scalars(own.order_by(ApiKey.created_at, ApiKey.id)).all()

    def _key(self, key: ApiKey) -> dict[str, Any]:
        return {
            **_picked(key, _KEY),
            "expires_at": clock.wire(key.expires_at) if key.expires_at else None,
            "api_key": api_keys.secret_of(self._session, key),
        }

    def _config(self, stored: dict[str, Any]) -> dict[str, Any]:
        if self._with_secrets:
            return config_secrets.unseal(stored, self._session.runtime.vault)
        return configuration.shown(stored)


def _picked(row: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _by_agent(rows: Iterable[Any]) -> dict[str | None, list[Any]]:
    found: dict[str | None, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.agent_id].append(row)
    return found


def _plugins(settings: Iterable[PluginSetting]) -> list[dict[str, Any]]:
    return [_picked(setting, _PLUGIN) for setting in settings]


def _unless_empty(**lists: list[Any]) -> dict[str, list[Any]]:
    return {name: items for name, items in lists.items() if items}
