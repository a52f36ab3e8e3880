"""Usage reports: totals by day, hour, agent, key, model or action, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from maimconfig.db.session import Session
from maimconfig.usage.models import UsageRecord

GROUPS = {
    "day": UsageRecord.day,
    "hour": UsageRecord.hour,
    "agent": UsageRecord.agent_id,
    "api_key": UsageRecord.api_key_id,
    "model": UsageRecord.model,
    "action": UsageRecord.action,
}
MEASURES = ("requests", "errors", "tokens_in", "tokens_out", "cost")
MAX_GROUPS = 10_000

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def make(
    session: Session,
    *,
    tenant_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    group_by: str | None = None,
) -> dict[str, Any]:
    """Totals of a tenant's usage.

    Args:
        since, until: from (included) and to (excluded).
        group_by: a key of `GROUPS`; without it there are only the totals.

    Returns:
        tenant_id, group_by, totals, and items: a row of `group` and the measures for each group.
    """
    wanted = [UsageRecord.tenant_id == tenant_id]
    if since is not None:
        wanted.append(UsageRecord.moment >= since)
    if until is not None:
        wanted.append(UsageRecord.moment < until)
    items = _grouped(session, wanted, group_by) if group_by else []
    return {
        "tenant_id": tenant_id,
        "group_by": group_by,
        "totals": _row(session.execute(select(*_sums()).where(*wanted)).mappings().one()),
        "items": items,
    }


def as_csv(items: Iterable[Mapping[str, Any]]) -> str:
    """The rows of a report as CSV (RFC 4180) that a spreadsheet can't take for formulas."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("group", *MEASURES))
    for item in items:
        writer.writerow([_cell(item["group"]), *(item[name] for name in MEASURES)])
    return out.getvalue()


def decimal_text(amount: Decimal | int) -> str:
    """An amount without an exponent and without trailing zeros."""
    text = f"{Decimal(amount):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _grouped(
    session: Session, wanted: list[ColumnElement[bool]], group_by: str
) -> list[dict[str, Any]]:
    group = GROUPS[group_by]
    rows = session.execute(
        select(group.label("group"), *_sums())
        .where(*wanted)
        .group_by(group)
        .order_by(group)
        .limit(MAX_GROUPS)
    ).mappings()
    return [{"group": row["group"], **_row(row)} for row in rows]


def _sums() -> list[ColumnElement[Any]]:
    errors = case((UsageRecord.is_error, 1), else_=0)
    return [
        func.count().label("requests"),
        func.coalesce(func.sum(errors), 0).label("errors"),
        func.coalesce(func.sum(UsageRecord.tokens_in), 0).label("tokens_in"),
        func.coalesce(func.sum(UsageRecord.tokens_out), 0).label("tokens_out"),
        func.coalesce(func.sum(UsageRecord.cost), 0).label("cost"),
    ]


def _row(row: Any) -> dict[str, Any]:
    return {
        **{name: int(row[name]) for name in MEASURES[:-1]},
        "cost": decimal_text(row["cost"]),
    }


def _cell(value: Any) -> Any:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
