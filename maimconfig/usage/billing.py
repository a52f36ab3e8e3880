"""Statements: what a month of a tenant's usage costs, by model and price."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, select

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.usage.models import UsageRecord
from maimconfig.usage.report import MAX_GROUPS, cost_text, exact_sum, exact_total

SUMS = ("tokens_in", "tokens_out", "cost")


def statement(session: Session, tenant_id: str, month: str | None = None) -> dict[str, Any]:
    """What a month of a tenant's usage costs.

    The total is that of the very rows which the items are made of, so that nothing which is
    written meanwhile comes between them.

    Args:
        month: such as `2026-11` (UTC); the current one when None.

    Returns:
        tenant_id, month, items and total. An item is of one model at one pair of prices; of more
        than `MAX_GROUPS` the last are in the total alone.
    """
    month = month or clock.now().isoformat()[:7]
    of_what = (UsageRecord.model, UsageRecord.price_in, UsageRecord.price_out)
    rows = session.execute(
        select(*of_what, func.count().label("requests"), *_sums())
        .where(UsageRecord.tenant_id == tenant_id, _within(month))
        .group_by(*of_what)
        .order_by(*of_what)
    ).mappings()
    items: list[dict[str, Any]] = []
    total = dict.fromkeys(("requests", *SUMS), 0)
    for row in rows:
        measured = {name: exact_total(row, name) for name in SUMS}
        for name, number in {"requests": row["requests"], **measured}.items():
            total[name] += number
        if len(items) < MAX_GROUPS:
            items.append(_item(row, measured))
    return {
        "tenant_id": tenant_id,
        "month": month,
        "items": items,
        "total": {**total, "cost": cost_text(total["cost"])},
    }


def _sums() -> list[ColumnElement[int]]:
    return [part for name in SUMS for part in exact_sum(getattr(UsageRecord, name), name)]


def _within(month: str) -> ColumnElement[bool]:
    # By its last microsecond, which is the last that is stored: after 9999-12 no month follows.
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1, tzinfo=clock.UTC)
    last = first.replace(
        day=monthrange(year, number)[1], hour=23, minute=59, second=59, microsecond=999_999
    )
    return UsageRecord.moment.between(first, last)


def _item(row: Mapping[Any, Any], measured: Mapping[str, int]) -> dict[str, Any]:
    return {
        "model": row["model"],
        "price_in": _price_text(row["price_in"]),
        "price_out": _price_text(row["price_out"]),
        "requests": row["requests"],
        **measured,
        "cost": cost_text(measured["cost"]),
    }


def _price_text(price: Decimal | None) -> str | None:
    return None if price is None else f"{price:f}"
