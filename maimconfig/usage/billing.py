"""Statements: what a month of a tenant's usage costs, by model and price."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, select

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.usage.models import UsageSum
from maimconfig.usage.report import cost_text, exact_total
from maimconfig.usage.sums import model_and_prices

OfWhat = tuple["str | None", "str | None", "str | None"]

MAX_ITEMS = 10_000
SUMS = ("tokens_in", "tokens_out", "cost")


def statement(session: Session, tenant_id: str, month: str | None = None) -> dict[str, Any]:
    """What a month of a tenant's usage costs.

    The total is that of the very rows which the items are made of, so that nothing which is
    written meanwhile comes between them.

    Args:
        month: such as `2026-11` (UTC); the current one when None.

    Returns:
        tenant_id, month, items and total. An item is of one model at one pair of prices; of more
        than `MAX_ITEMS` the last are in the total alone.
    """
    month = month or clock.now().isoformat()[:7]
    rows = session.execute(
        select(UsageSum.part, UsageSum.requests, *_sums()).where(
            UsageSum.scope == tenant_id,
            UsageSum.kind == "price month",
            UsageSum.period == month,
            UsageSum.requests > 0,
        )
    ).mappings()
    items: list[dict[str, Any]] = []
    total = dict.fromkeys(("requests", *SUMS), 0)
    for of_what, row in sorted(((model_and_prices(row["part"]), row) for row in rows), key=_place):
        measured = {name: exact_total(row, name) for name in SUMS}
        for name, number in {"requests": row["requests"], **measured}.items():
            total[name] += number
        if len(items) < MAX_ITEMS:
            items.append(_item(of_what, row["requests"], measured))
    return {
        "tenant_id": tenant_id,
        "month": month,
        "items": items,
        "total": {**total, "cost": cost_text(total["cost"])},
    }


def _sums() -> list[ColumnElement[int]]:
    return [
        getattr(UsageSum, f"{name}_{half}").label(f"{name} {half}")
        for name in SUMS
        for half in ("high", "low")
    ]


def _place(found: tuple[OfWhat, Any]) -> list[tuple[bool, str]]:
    """Where an item stands: by model and prices as text, None first."""
    return [(value is not None, value or "") for value in found[0]]


def _item(of_what: OfWhat, requests: int, measured: Mapping[str, int]) -> dict[str, Any]:
    model, price_in, price_out = of_what
    return {
        "model": model,
        "price_in": _price_text(price_in),
        "price_out": _price_text(price_out),
        "requests": requests,
        **measured,
        "cost": cost_text(measured["cost"]),
    }


def _price_text(price: str | None) -> str | None:
    return None if price is None else f"{Decimal(price):f}"
