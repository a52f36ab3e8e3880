"""Which agents are alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.agents.models import Agent
from maimconfig.db.look_up import LookUp
from maimconfig.db.session import Session
from maimconfig.http.errors import ActivityForbidden, ActivityUnknown
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant
from maimconfig.webhooks.service import Event, emit, emit_many

MAX_TTL_SECONDS = 366 * 24 * 3600
FIRST_TTL_SECONDS = 12 * 3600  # contract, POST /agents: reported active for 12 h
SHOWN = ("tenant_id", "agent_id", "last_seen_at", "expires_at", "ttl_seconds")


def beat(session: Session, *, tenant_id: str, agent_id: str, ttl_seconds: int) -> dict[str, Any]:
    """Take a heart-beat of an agent.

    Args:
        ttl_seconds: for how long it counts.

    Raises:
        ActivityUnknown: tenant or agent unknown, or the agent is of another tenant.
        ActivityForbidden: tenant or agent not active.
    """
    was_alive = _require_active(session, tenant_id, agent_id)
    if not was_alive and not _is_alive(session, agent_id):
        emit(session, tenant_id, "agent.online", {"agent_id": agent_id})
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
        "watched_until": now + timedelta(seconds=ttl_seconds),
    }
    fresh = {name: values[name] for name in values.keys() - {"agent_id", "tenant_id"}}
    if session.runtime.database.is_sqlite:
        insert = sqlite.insert(AgentActivity).values(values)
        session.execute(insert.on_conflict_do_update(index_elements=["agent_id"], set_=fresh))
    else:
        session.execute(mysql.insert(AgentActivity).values(values).on_duplicate_key_update(fresh))
    return values


def alive(session: Session, tenant_id: str) -> Sequence[Mapping[Any, Any]]:
    """Heart-beats of a tenant's agents that have not expired, the latest first: SHOWN of each.

    Raises:
        ActivityUnknown: there is no such tenant.
        ActivityForbidden: it isn't active.
    """
    status = session.scalar(select(Tenant.status).where(Tenant.id == tenant_id))
    if status is None:
        raise ActivityUnknown
    if status != "active":
        raise ActivityForbidden
    rows = session.execute(
        select(*(getattr(AgentActivity, name) for name in SHOWN))
        .where(AgentActivity.tenant_id == tenant_id, AgentActivity.expires_at > clock.now())
        .order_by(AgentActivity.last_seen_at.desc(), AgentActivity.agent_id)
    )
    return rows.mappings().all()


def tell_offline(session: Session, at_most: int = 200) -> int:
    """Tell webhooks of agents whose heart-beats have expired, each once however many look.

    Returns:
        how many there were; at_most when there may be more.
    """
    now = clock.now()
    expired = (
        select(AgentActivity.agent_id, AgentActivity.tenant_id, AgentActivity.last_seen_at)
        .where(AgentActivity.watched_until <= now)
        .order_by(AgentActivity.watched_until)
        .limit(at_most)
        # Who comes second waits, and finds them told; so does a heart-beat that comes now.
        .with_for_update()
    )
    rows = session.execute(expired).all()
    if rows:
        told = update(AgentActivity).where(AgentActivity.agent_id.in_([row[0] for row in rows]))
        session.execute(
            told.values(watched_until=None), execution_options={"synchronize_session": False}
        )
        emit_many(session, [Event(row.tenant_id, "agent.offline", _offline(row)) for row in rows])
    return len(rows)


# Whether there is anything for `tell_offline`.
ANY_EXPIRED: LookUp[str] = LookUp(
    select(AgentActivity.agent_id).where(AgentActivity.watched_until <= bindparam("now")).limit(1),
    str,
)


def _offline(row: Any) -> dict[str, Any]:
    return {"agent_id": row.agent_id, "last_seen_at": clock.wire(row.last_seen_at)}


def _is_alive(session: Session, agent_id: str) -> bool:
    """Whether an agent is alive, asked again under a lock: of two first beats one is told of."""
    session.execute(select(Agent.id).where(Agent.id == agent_id).with_for_update())
    expires_at = session.scalar(
        select(AgentActivity.expires_at).where(AgentActivity.agent_id == agent_id)
    )
    return expires_at is not None and expires_at > clock.now()


def _require_active(session: Session, tenant_id: str, agent_id: str) -> bool:
    """Whether the agent was alive, besides."""
    tenants.hold(session, tenant_id)
    row = session.execute(
        select(Agent.status, Tenant.status, AgentActivity.expires_at)
        .join(Tenant, Tenant.id == Agent.tenant_id)
        .outerjoin(AgentActivity, AgentActivity.agent_id == Agent.id)
        .where(Agent.id == agent_id, Agent.tenant_id == tenant_id)
    ).first()
    if row is None:
        raise ActivityUnknown
    if tuple(row[:2]) != ("active", "active"):
        raise ActivityForbidden
    return row.expires_at is not None and row.expires_at > clock.now()
