"""Which agents are alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.agents.models import Agent
from maimconfig.db.session import Session
from maimconfig.http.errors import ActivityForbidden, ActivityUnknown
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant

MAX_TTL_SECONDS = 366 * 24 * 3600
FIRST_TTL_SECONDS = 12 * 3600  # contract, POST /agents: reported active for 12 h


def beat(session: Session, *, tenant_id: str, agent_id: str, ttl_seconds: int) -> dict[str, Any]:
    """Take a heart-beat of an agent.

    Args:
        ttl_seconds: for how long it counts.

    Raises:
        ActivityUnknown: tenant or agent unknown, or the agent is of another tenant.
        ActivityForbidden: tenant or agent not active.
    """
    _require_active(session, tenant_id, agent_id)
    return store(session, tenant_id=tenant_id, agent_id=agent_id, ttl_seconds=ttl_seconds)


def store(session: Session, *, tenant_id: str, agent_id: str, ttl_seconds: int) -> dict[str, Any]:
    """Store a heart-beat of an agent that is known to be there."""
    now = clock.now()
    values = {
        "agent_id": agent_id,
        "tenant_id": tenant_id,
        "last_seen_at": now,
        "expires_at": now + timedelta(seconds=ttl_seconds),
        "ttl_seconds": ttl_seconds,
    }
    fresh = {name: values[name] for name in ("last_seen_at", "expires_at", "ttl_seconds")}
    if session.runtime.database.is_sqlite:
        insert = sqlite.insert(AgentActivity).values(values)
        session.execute(insert.on_conflict_do_update(index_elements=["agent_id"], set_=fresh))
    else:
        session.execute(mysql.insert(AgentActivity).values(values).on_duplicate_key_update(fresh))
    return values


def alive(session: Session, tenant_id: str) -> Sequence[AgentActivity]:
    """Heart-beats of a tenant's agents that have not expired, the latest first."""
    return session.scalars(
        select(AgentActivity)
        .where(AgentActivity.tenant_id == tenant_id, AgentActivity.expires_at > clock.now())
        .order_by(AgentActivity.last_seen_at.desc(), AgentActivity.agent_id)
    ).all()


def _require_active(session: Session, tenant_id: str, agent_id: str) -> None:
    tenants.hold(session, tenant_id)
    row = session.execute(
        select(Agent.status, Tenant.status)
        .join(Tenant, Tenant.id == Agent.tenant_id)
        .where(Agent.id == agent_id, Agent.tenant_id == tenant_id)
    ).first()
    if row is None:
        raise ActivityUnknown
    if tuple(row) != ("active", "active"):
        raise ActivityForbidden
