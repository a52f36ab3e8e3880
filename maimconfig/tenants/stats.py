"""A tenant in numbers, computed from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, case, func, select, union_all

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.session import Session
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageSum
from maimconfig.usage.report import cost_text
from maimconfig.usage.sums import part_of

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
    chats = part_of(MESSAGE_ACTION)
    sums = UsageSum.__table__.c
    own = select(UsageSum.__table__).where(sums.scope == tenant_id, sums.part.in_(("", chats)))
    rows = session.execute(
        union_all(
            own.where(sums.kind.in_(("all month", "action month"))),
            own.where(sums.kind.in_(("all day", "action day")), sums.period == today),
        )
    ).mappings()
    found = {name: dict.fromkeys(("today", "this_month", "total"), 0)
             for name in ("messages", "tokens", "cost")}  # fmt: skip
    for row in rows:
        within = ["today"] if row["period"] == today else ["total"]
        if row["period"] == month:
            within.append("this_month")
        for span in within:
            for name, number in _counted(row).items():
                found[name][span] += number
    return {**found, "cost": {span: cost_text(units) for span, units in found["cost"].items()}}


def _counted(row: Mapping[Any, Any]) -> dict[str, int]:
    if row["kind"].startswith("action"):
        return {"messages": row["requests"]} if row["part"] else {}
    numbers = {name: (row[f"{name}_high"] << 32) + row[f"{name}_low"]
               for name in ("tokens_in", "tokens_out", "cost")}  # fmt: skip
    return {"tokens": numbers["tokens_in"] + numbers["tokens_out"], "cost": numbers["cost"]}
