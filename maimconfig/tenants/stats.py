"""A tenant in numbers, computed from the rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, select, true

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord
from maimconfig.usage.report import cost_text, exact_sum, exact_total

MESSAGE_ACTION = "chat"


def of(session: Session, tenant: Tenant) -> dict[str, Any]:
    """Counts of agents, keys, messages, tokens and cost of a tenant."""
    return {
        "tenant_id": tenant.id,
        "agents": tenant.agent_count,
        "active_agents": _active_agents(session, tenant.id),
        "api_keys": _api_keys(session, tenant.id),
        **_usage(session, tenant.id),
    }


def _active_agents(session: Session, tenant_id: str) -> int:
    alive = and_(AgentActivity.tenant_id == tenant_id, AgentActivity.expires_at > clock.now())
    return session.scalar(select(func.count()).select_from(AgentActivity).where(alive)) or 0


def _api_keys(session: Session, tenant_id: str) -> dict[str, int]:
    expired = and_(ApiKey.expires_at.is_not(None), ApiKey.expires_at <= clock.now())
    status = case((expired, "expired"), else_=ApiKey.status)
    counts = session.execute(
        select(status, func.count()).where(ApiKey.tenant_id == tenant_id).group_by(status)
    )
    found = {"active": 0, "disabled": 0, "expired": 0}
    found.update((name, number) for name, number in counts)
    return {"total": sum(found.values()), **found}


def _usage(session: Session, tenant_id: str) -> dict[str, Any]:
    today = clock.now().date().isoformat()
    month = today[:7]
    measures = {
        "messages": case((UsageRecord.action == MESSAGE_ACTION, 1), else_=0),
        "tokens": UsageRecord.tokens_in + UsageRecord.tokens_out,
        "cost": UsageRecord.cost,
    }
    spans = {
        "today": UsageRecord.day == today,
        "this_month": UsageRecord.day.between(f"{month}-01", f"{month}-31"),
        "total": true(),
    }
    sums = [
        column
        for name, measure in measures.items()
        for span, within in spans.items()
        for column in exact_sum(case((within, measure), else_=0), f"{name} {span}")
    ]
    query = select(*sums).where(UsageRecord.tenant_id == tenant_id)
    row = session.execute(query).mappings().one()
    found = {
        name: {span: exact_total(row, f"{name} {span}") for span in spans} for name in measures
    }
    return {**found, "cost": {span: cost_text(units) for span, units in found["cost"].items()}}
