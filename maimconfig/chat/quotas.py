"""What a tenant's chats may use: requests a minute, tokens and cost a month.

A month's use is reserved before a provider is asked and settled to the truth afterwards. The
database judges each reservation in a conditional UPDATE, so that of two at once only one gets
what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from math import ceil
from typing import Any

from sqlalchemy import BigInteger, bindparam, update
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.chat.models import MonthlyUse
from maimconfig.db.session import Session
from maimconfig.db.statements import Statement
from maimconfig.db.types import Money
from maimconfig.http.errors import QuotaExceeded, RateLimited
from maimconfig.rate_limits import service as rate_limits
from maimconfig.rate_limits.service import RateVerdict
from maimconfig.tenants import service as tenants
from maimconfig.webhooks import service as webhooks

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Quotas:
    """A tenant's quotas; None is no limit. Cost is in the currency of the models' prices."""

    requests_per_minute: int | None
    tokens_per_month: int | None
    cost_per_month: Decimal | None


def of(session: Session, tenant_config: Mapping[str, Any]) -> Quotas:
    """The quotas of a tenant: its own, else the settings' defaults."""
    own = tenant_config.get("quotas")
    cost = own.get("cost_per_month") if isinstance(own, dict) else None
    return Quotas(
        requests_per_minute=tenants.quota(session, tenant_config, "requests_per_minute"),
        tokens_per_month=tenants.quota(session, tenant_config, "tokens_per_month"),
        # By its text, for 0.1 is no binary fraction.
        cost_per_month=Decimal(str(cost)) if type(cost) in (int, float) else None,
    )


def take_minute(session: Session, tenant_id: str, quotas: Quotas) -> RateVerdict | None:
    """Count one chat against the minute; None where there is no limit.

    Raises:
        RateLimited: the minute's are used up.
    """
    if quotas.requests_per_minute is None:
        return None
    verdict = rate_limits.take(
        session, f"chat:{tenant_id}", limit=quotas.requests_per_minute, window=MINUTE
    )
    if not verdict.allowed:
        raise RateLimited(
            f"requests_per_minute: {verdict.limit}",
            retry_after=verdict.reset,
            headers=verdict.headers,
        )
    return verdict


def month_of(moment: datetime) -> str:
    """The month by which use is counted, such as `2026-11` (UTC)."""
    return moment.astimezone(clock.UTC).isoformat()[:7]


def reserve(
    session: Session, tenant_id: str, month: str, quotas: Quotas, *, tokens: int, cost: Decimal
) -> None:
    """Take tokens and cost from a month, all or nothing.

    Raises:
        QuotaExceeded: there isn't as much left.
    """
    if not _add(session, tenant_id, month, quotas, tokens, cost):
        _make_month(session, tenant_id, month)
        if not _add(session, tenant_id, month, quotas, tokens, cost):
            raise _exceeded(session, tenant_id, month, quotas, tokens)


def settle(session: Session, tenant_id: str, month: str, *, tokens: int, cost: Decimal) -> None:
    """Correct what was reserved by the difference to what was used."""
    _RAISE[False, False].run(
        session, of_tenant=tenant_id, of_month=month, more_tokens=tokens, more_cost=cost
    )


def tell_exceeded(session: Session, tenant_id: str, quota: str) -> None:
    """Tell webhooks that a quota of this month is used up, once however many chats are refused.

    The refusal itself leaves nothing behind, for its transaction is undone.

    Args:
        quota: tokens_per_month or cost_per_month.

    Raises:
        TenantNotFound: the tenant is gone by now.
    """
    tenant = tenants.get(session, tenant_id, hold=True)
    month = month_of(clock.now())
    _make_month(session, tenant_id, month)
    told = _TOLD[quota]
    first = update(MonthlyUse).where(_is(tenant_id, month), told.is_(None))
    result = session.execute(first.values({told: clock.now()}), execution_options=_UNSYNCHRONIZED)
    if result.rowcount == 1:  # type: ignore[attr-defined]
        limit = getattr(of(session, tenant.tenant_config), quota)
        data = {"quota": quota, "month": month, "limit": None if limit is None else float(limit)}
        webhooks.emit(session, tenant_id, "quota.exceeded", data)


# By quota, when webhooks were told that it is used up.
_TOLD: dict[str, Any] = {
    "tokens_per_month": MonthlyUse.tokens_exceeded_at,
    "cost_per_month": MonthlyUse.cost_exceeded_at,
}

_UNSYNCHRONIZED: Any = {"synchronize_session": False}


def _is(tenant_id: str, month: str) -> Any:
    return (MonthlyUse.tenant_id == tenant_id) & (MonthlyUse.month == month)


def _raised(tokens_limited: bool, cost_limited: bool) -> Statement[Any]:
    tokens, cost = bindparam("more_tokens", type_=BigInteger), bindparam("more_cost", type_=Money)
    raised = (
        update(MonthlyUse)
        .where(
            MonthlyUse.tenant_id == bindparam("of_tenant"),
            MonthlyUse.month == bindparam("of_month"),
        )
        .values(tokens=MonthlyUse.tokens + tokens, cost=MonthlyUse.cost + cost)
    )
    if tokens_limited:
        raised = raised.where(MonthlyUse.tokens <= bindparam("most_tokens"))
    if cost_limited:
        raised = raised.where(MonthlyUse.cost <= bindparam("most_cost"))
    return Statement(raised)


_RAISE = {limited: _raised(*limited) for limited in product((False, True), repeat=2)}


def _add(
    session: Session, tenant_id: str, month: str, quotas: Quotas, tokens: int, cost: Decimal
) -> bool:
    most: dict[str, Any] = {}
    if quotas.tokens_per_month is not None:
        most["most_tokens"] = quotas.tokens_per_month - tokens
    if quotas.cost_per_month is not None:
        most["most_cost"] = quotas.cost_per_month - cost
    raised = _RAISE["most_tokens" in most, "most_cost" in most]
    rows = raised.run(
        session, of_tenant=tenant_id, of_month=month, more_tokens=tokens, more_cost=cost, **most
    )
    return rows == 1


def _make_month(session: Session, tenant_id: str, month: str) -> None:
    first = {"tenant_id": tenant_id, "month": month, "tokens": 0, "cost": Decimal(0)}
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(MonthlyUse).values(first).on_conflict_do_nothing())
    else:
        again = mysql.insert(MonthlyUse).values(first)
        session.execute(again.on_duplicate_key_update(tokens=MonthlyUse.tokens))


def _exceeded(
    session: Session, tenant_id: str, month: str, quotas: Quotas, tokens: int
) -> QuotaExceeded:
    use = session.get_one(MonthlyUse, (tenant_id, month), populate_existing=True)
    limit = quotas.tokens_per_month
    exceeds_tokens = limit is not None and use.tokens + tokens > limit
    quota = "tokens_per_month" if exceeds_tokens else "cost_per_month"
    return QuotaExceeded(
        f"{quota}: {getattr(quotas, quota)}",
        quota=quota,
        is_news=getattr(use, _TOLD[quota].key) is None,
        retry_after=_until_next_month(clock.now()),
    )


def _until_next_month(now: datetime) -> int:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return max(1, ceil((following - now).total_seconds()))
