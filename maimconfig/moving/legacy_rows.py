"""What becomes of a row of each older table.

Each function gets a session and a row, and stores what the row tells of under the ids it has. It
returns notes about what had to be changed, or None when the object is there already, which is
left as it is; it raises Skipped when the row can't be taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import delete, select

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.agents import service as agents
from maimconfig.agents.models import AGENT_STATUSES, Agent
from maimconfig.api_keys import format as key_format
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.http.errors import TemplateNotFound
from maimconfig.http.fields import as_id
from maimconfig.moving.legacy_columns import (
    EMAIL_LENGTH,
    NAME_LENGTH,
    Skipped,
    choice,
    free_name,
    id_of,
    is_active,
    name_of,
    permissions_of,
    status,
    tags,
    tenant_config,
)
from maimconfig.moving.legacy_config import acceptable, config_of
from maimconfig.moving.legacy_source import Row
from maimconfig.plugins import service as plugins
from maimconfig.plugins.models import PluginSetting
from maimconfig.security import passwords
from maimconfig.templates import service as templates
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import TENANT_STATUSES, TENANT_TYPES, Tenant
from maimconfig.users import service as users
from maimconfig.users.models import User
from maimconfig.users.roles import ROLES

Notes: TypeAlias = "list[str] | None"


def user(session: Session, row: Row) -> Notes:
    """A user with the hash of its password; a tenant of its own comes with the tenants."""
    user_id = id_of(row, "id", "user_id")
    if session.get(User, user_id) is not None:
        return None
    password_hash = row.text("password_hash", "hashed_password", "password") or ""
    if not (passwords.is_bcrypt(password_hash) or password_hash.startswith("$argon2id$")):
        raise Skipped("its password's hash is none of bcrypt")
    username = row.text("username", "name") or row.text("email")
    if username is None or len(username) > NAME_LENGTH:
        raise Skipped("it has no username")
    email = row.text("email")
    if email is not None and len(email) > EMAIL_LENGTH:
        raise Skipped("its email is too long")
    role, notes = choice(row, "role", list(ROLES), "user")
    if row.flag("is_superuser", "is_admin", default=False):
        role = "admin"
    made = users.create(
        session,
        id=user_id,
        username=username,
        email=email,
        full_name=(row.text("full_name", "display_name", "nickname") or "")[:NAME_LENGTH] or None,
        password_hash=password_hash,
        role=role,
        personal_tenant=False,
    )
    if not is_active(row):
        made.status = "suspended"
    return _finish(session, made, row, notes)


def personal_tenant(session: Session, row: Row) -> Notes:
    """The tenant that a user begins with, when none of the older ones is its own."""
    owner = session.get(User, as_id(row.text("id", "user_id") or ""))
    if owner is None or tenants.of_owner(session, owner.id):
        return None
    users.give_personal_tenant(session, owner)
    return []


def tenant(session: Session, row: Row) -> Notes:
    """A tenant."""
    tenant_id = id_of(row, "id", "tenant_id")
    if session.get(Tenant, tenant_id) is not None:
        return None
    wanted = name_of(row, tenant_id, "tenant_name", "name")
    name = free_name(session, select(Tenant.id), Tenant.tenant_name, wanted, tenant_id)
    notes = [f"is now named {name}"] if name != wanted else []
    tenant_type, more = choice(row, "tenant_type", TENANT_TYPES, "personal", "type")
    config, about_config = tenant_config(row)
    made = tenants.create(
        session,
        id=tenant_id,
        tenant_name=name,
        tenant_type=tenant_type,
        description=row.text("description"),
        contact_email=(row.text("contact_email", "email") or "")[:EMAIL_LENGTH] or None,
        tenant_config=config,
        owner_id=as_id(row.text("owner_id", "user_id") or "") or None,
    )
    made.status, unclear = status(row, TENANT_STATUSES)
    return _finish(session, made, row, notes + more + about_config + unclear)


def agent(session: Session, row: Row, parts: Sequence[Row]) -> Notes:
    """An agent with its configuration.

    Args:
        parts: its rows in the table of configurations.
    """
    agent_id = id_of(row, "id", "agent_id")
    if session.get(Agent, agent_id) is not None:
        return None
    owner = session.get(Tenant, as_id(row.text("tenant_id") or ""))
    if owner is None:
        raise Skipped(f"its tenant {row.text('tenant_id')} isn't here")
    wanted = name_of(row, agent_id, "name", "agent_name")
    own = select(Agent.id).where(Agent.tenant_id == owner.id)
    name = free_name(session, own, Agent.name, wanted, agent_id)
    notes = [f"is now named {name}"] if name != wanted else []
    config, left_out = _config(session, [row, *parts])
    notes += [f"{path} of its configuration was left out" for path in left_out]
    template_id, unknown = _template(session, row, owner)
    made = agents.create(
        session,
        id=agent_id,
        tenant_id=owner.id,
        name=name,
        description=row.text("description"),
        template_id=template_id,
        config=config,
        tags=tags(row.value("tags") or config.get("tags")),
    )
    # It was reported active for being new, which it isn't: its own heart-beat comes later.
    session.execute(delete(AgentActivity).where(AgentActivity.agent_id == agent_id))
    made.status, unclear = status(row, AGENT_STATUSES)
    return _finish(session, made, row, notes + unknown + unclear)


def api_key(session: Session, row: Row) -> Notes:
    """A key, which goes on being good."""
    key_id = id_of(row, "id", "api_key_id", "key_id")
    if session.get(ApiKey, key_id) is not None:
        return None
    secret = row.text("api_key", "key") or ""
    if key_format.parse(secret) is None:
        raise Skipped("its key isn't of the form mmc_…, so no check would take it")
    if api_keys.by_secret(session, secret) is not None:
        raise Skipped("another key has the same secret")
    owner = _agent_of(session, row)
    wanted = name_of(row, key_id, "name")
    own = select(ApiKey.id).where(ApiKey.tenant_id == owner.tenant_id)
    name = free_name(session, own, ApiKey.name, wanted, key_id)
    notes = [f"is now named {name}"] if name != wanted else []
    permissions, unknown = permissions_of(row.value("permissions"))
    made = api_keys.create(
        session,
        id=key_id,
        secret=secret,
        tenant_id=owner.tenant_id,
        agent_id=owner.id,
        name=name,
        description=row.text("description"),
        permissions=permissions,
        expires_at=row.moment("expires_at"),
    )
    made.status, unclear = status(row, ("active", "disabled", "expired"), off="disabled")
    if made.status == "expired":  # a fact of the clock here
        made.status, made.expires_at = "active", made.expires_at or clock.now()
    made.disabled_at = clock.now() if made.status == "disabled" else None
    made.usage_count = max(0, int(row.get("usage_count") or 0))
    made.last_used_at = row.moment("last_used_at")
    return _finish(session, made, row, notes + unknown + unclear)


def active_state(session: Session, row: Row) -> Notes:
    """The last heart-beat of an agent."""
    owner = _agent_of(session, row)
    if session.get(AgentActivity, owner.id) is not None:
        return None
    until = row.moment("expires_at")
    seen = row.moment("last_seen_at", "last_active_at", "updated_at", "created_at") or until
    if until is None or seen is None:
        raise Skipped("it has no time")
    session.add(
        AgentActivity(
            agent_id=owner.id,
            tenant_id=owner.tenant_id,
            last_seen_at=seen,
            expires_at=until,
            ttl_seconds=max(1, int((until - seen).total_seconds())),
        )
    )
    return []


def plugin_setting(session: Session, row: Row) -> Notes:
    """A plugin's setting of a tenant or of an agent."""
    agent_id = row.text("agent_id")
    owner_id = _agent_of(session, row).tenant_id if agent_id else row.text("tenant_id")
    name = row.text("plugin_name", "name")
    if name is None or len(name) > NAME_LENGTH:
        raise Skipped("it has no name")
    if session.get(PluginSetting, (agent_id or owner_id, name)) is not None:
        return None
    config = row.value("config", "settings") or {}
    if not isinstance(config, dict):
        raise Skipped("its configuration is no object")
    plugins.store(
        session,
        tenant_id=as_id(owner_id or ""),
        agent_id=agent_id,
        plugin_name=name,
        enabled=row.flag("enabled", "is_enabled", default=True),
        config=config,
    )
    return []


def _config(session: Session, rows: Sequence[Row]) -> tuple[dict[str, Any], list[str]]:
    try:
        config = config_of(rows)
    except ValueError as error:
        raise Skipped("its configuration is no JSON object") from error
    return acceptable(config, session.runtime.catalogue.provider_names)


def _template(session: Session, row: Row, owner: Tenant) -> tuple[str | None, list[str]]:
    template_id = row.text("template_id")
    if template_id is None:
        return None, []
    try:
        return templates.visible(session, as_id(template_id), owner.id).id, []
    except TemplateNotFound:
        return None, [f"its template {template_id} isn't here"]


def _agent_of(session: Session, row: Row) -> Agent:
    agent_id, tenant_id = row.text("agent_id"), row.text("tenant_id")
    found = session.get(Agent, as_id(agent_id or ""))
    if found is None or tenant_id not in (None, found.tenant_id):
        raise Skipped(f"its agent {agent_id} isn't here")
    return found


def _finish(session: Session, made: Any, row: Row, notes: list[str]) -> list[str]:
    created = row.moment("created_at")
    if created is not None:
        made.created_at = created
        made.updated_at = row.moment("updated_at") or created
    session.flush()
    return notes
