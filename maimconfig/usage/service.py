"""The usage log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from maimconfig import clock
from maimconfig.agents.models import Agent
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.db.statements import Addition
from maimconfig.http.errors import AgentNotFound
from maimconfig.tenants import service as tenants
from maimconfig.usage import sums
from maimconfig.usage.models import UsageRecord

MAX_TOKENS = 2**53
MAX_COST = 10**9
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")
ERROR_STATUSES = ("error", "failed", "failure")


def log(
    session: Session,
    *,
    action: str,
    tenant_id: str | None = None,
    agent_id: str | None = None,
    user_id: str | None = None,
    details: dict[str, Any] | None = None,
    timestamp: datetime | None = None,
) -> UsageRecord:
    """Store that something was done.

    What `details` says of model, api_key_id, prompt_tokens (or tokens_in), completion_tokens
    (or tokens_out), cost (a number or a decimal as text) and status counts in reports; all of it
    is kept to the letter.

    Args:
        timestamp: when it happened; now when None.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
    """
    if tenant_id is not None:
        tenants.get(session, tenant_id, hold=True)
    if agent_id is not None:
        tenant_id = _tenant_of(session, agent_id, tenant_id)
        tenants.get(session, tenant_id, hold=True)
    columns = {
        **_dated(timestamp or clock.now()),
        "tenant_id": tenant_id,
        "agent_id": agent_id,
        "user_id": user_id,
        "action": action,
        "details": details or {},
        **_measured(details or {}),
    }
    record = UsageRecord(id=new_id("usage"), **columns)
    session.add(record)
    sums.add(session, columns)
    return record


def store(session: Session, *, id: str, moment: datetime, **columns: Any) -> None:
    """Store an entry of which everything is known.

    Args:
        id: a new one; of two entries with the same only one can be.
        moment: when it happened.
        columns: the others of `UsageRecord`, day and hour left out.
    """
    entry = {**_dated(moment), "details": {}, **columns}
    _ENTRY.run(session, id=id, **entry)
    sums.add(session, entry)


_ENTRY = Addition(UsageRecord)


def _dated(moment: datetime) -> dict[str, Any]:
    moment = moment.astimezone(clock.UTC)
    text = moment.isoformat()
    return {"moment": moment, "day": text[:10], "hour": text[:13]}


def _tenant_of(session: Session, agent_id: str, tenant_id: str | None) -> str:
    owner = session.scalar(select(Agent.tenant_id).where(Agent.id == agent_id))
    if owner is None or tenant_id not in (None, owner):
        raise AgentNotFound
    return owner


def _measured(details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": _text(details.get("model"), 100),
        "api_key_id": _text(details.get("api_key_id"), 50),
        "tokens_in": _count(details.get("prompt_tokens", details.get("tokens_in"))),
        "tokens_out": _count(details.get("completion_tokens", details.get("tokens_out"))),
        "cost": _amount(details.get("cost")),
        "is_error": details.get("status") in ERROR_STATUSES or details.get("success") is False,
    }


def _text(value: Any, longest: int) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else 0


def _amount(value: Any) -> Decimal:
    if type(value) in (int, float):
        value = repr(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return Decimal(0)
    amount = Decimal(value)
    return amount if amount <= MAX_COST else Decimal(0)
