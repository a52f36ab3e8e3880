"""A tenant in numbers, computed from the rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, select

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord
from maimconfig.usage.report import decimal_text

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
    found = {"active": 0, "disabled": 0, "expired": 0} | dict(counts.tuples().all())
    return {"total": sum(found.values()), **found}


def _usage(session: Session, tenant_id: str) -> dict[str, Any]:
    now = clock.now()
    day, month = now.strftime("%Y-%m-%d"), now.strftime("%Y-%m-01")
    is_message = case((UsageRecord.action == MESSAGE_ACTION, 1), else_=0)
    tokens = UsageRecord.tokens_in + UsageRecord.tokens_out
    measures = {"messages": is_message, "tokens": tokens, "cost": UsageRecord.cost}
    spans = {
        "today": UsageRecord.day == day,
        "this_month": UsageRecord.day >= month,
        "total": UsageRecord.day >= "",
    }
    sums = [
        func.coalesce(func.sum(case((span, measure), else_=0)), 0)
        for measure in measures.values()
        for span in spans.values()
    ]
    row = iter(session.execute(select(*sums).where(UsageRecord.tenant_id == tenant_id)).one())
    return {name: {span: _number(name, next(row)) for span in spans} for name in measures}


def _number(measure: str, value: Any) -> Any:
    return decimal_text(value) if measure == "cost" else int(value)
