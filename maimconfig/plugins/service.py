"""Plugin settings: a tenant's defaults, overlaid by an agent's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.agents import service as agents
from maimconfig.agents.merge import merge_patch
from maimconfig.audit import service as audit
from maimconfig.db.session import Session
from maimconfig.http.errors import PluginSettingNotFound
from maimconfig.plugins.models import PluginSetting
from maimconfig.tenants import service as tenants


def overlaid(
    session: Session, *, tenant_id: str, agent_id: str | None = None
) -> list[dict[str, Any]]:
    """The settings of a tenant, or of one of its agents over them, by plugin name.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
    """
    scopes = _scopes(session, tenant_id, agent_id)
    rows = session.scalars(select(PluginSetting).where(PluginSetting.scope_id.in_(scopes))).all()
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: scopes.index(row.scope_id)):
        lower = found.get(row.plugin_name, {"config": {}})
        found[row.plugin_name] = {
            "plugin_name": row.plugin_name,
            "enabled": row.enabled,
            "config": merge_patch(lower["config"], row.config) if lower["config"] else row.config,
        }
    return [found[name] for name in sorted(found)]


def store(
    session: Session,
    *,
    tenant_id: str,
    agent_id: str | None,
    plugin_name: str,
    enabled: bool,
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Set a plugin's setting of a tenant or of one of its agents.

    Args:
        config: None keeps the stored one.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
    """
    tenants.hold(session, tenant_id)
    scope = _scopes(session, tenant_id, agent_id)[-1]
    stored = session.get(PluginSetting, (scope, plugin_name), with_for_update=True)
    before = _shown(stored) if stored else None
    if config is None:
        config = stored.config if stored else {}
    setting = {"plugin_name": plugin_name, "enabled": enabled, "config": config}
    _upsert(session, {"scope_id": scope, "tenant_id": tenant_id, "agent_id": agent_id, **setting})
    audit.record(
        session, "plugin_setting.store", f"{scope}/{plugin_name}", tenant_id=tenant_id,
        before=before, after=setting,
    )  # fmt: skip
    return setting


def remove(session: Session, *, tenant_id: str, agent_id: str | None, plugin_name: str) -> None:
    """Delete a setting.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
        PluginSettingNotFound: there is no such setting of this very tenant or agent.
    """
    tenants.hold(session, tenant_id)
    scope = _scopes(session, tenant_id, agent_id)[-1]
    stored = session.get(PluginSetting, (scope, plugin_name), with_for_update=True)
    if stored is None:
        raise PluginSettingNotFound
    audit.record(
        session, "plugin_setting.delete", f"{scope}/{plugin_name}", tenant_id=tenant_id,
        before=_shown(stored),
    )  # fmt: skip
    session.execute(
        delete(PluginSetting).where(
            PluginSetting.scope_id == scope, PluginSetting.plugin_name == plugin_name
        )
    )


def _scopes(session: Session, tenant_id: str, agent_id: str | None) -> list[str]:
    tenants.get(session, tenant_id)
    if agent_id is None:
        return [tenant_id]
    return [tenant_id, agents.get(session, agent_id, tenant_id=tenant_id).id]


def _upsert(session: Session, values: dict[str, Any]) -> None:
    now = clock.now()
    row = {**values, "created_at": now, "updated_at": now}
    fresh = {name: row[name] for name in ("enabled", "config", "updated_at")}
    if session.runtime.database.is_sqlite:
        insert = sqlite.insert(PluginSetting).values(row)
        key = ["scope_id", "plugin_name"]
        session.execute(insert.on_conflict_do_update(index_elements=key, set_=fresh))
    else:
        session.execute(mysql.insert(PluginSetting).values(row).on_duplicate_key_update(fresh))


def _shown(setting: PluginSetting) -> dict[str, Any]:
    return {
        "plugin_name": setting.plugin_name,
        "enabled": setting.enabled,
        "config": setting.config,
    }
