"""Usage reports: totals by day, hour, agent, key, user, model or action, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, func, select, type_coerce

from maimconfig.db.session import Session
from maimconfig.db.types import Money
from maimconfig.usage.models import UsageRecord

GROUPS = {
    "day": UsageRecord.day,
    "hour": UsageRecord.hour,
    "agent": UsageRecord.agent_id,
    "api_key": UsageRecord.api_key_id,
    "user": UsageRecord.user_id,
    "model": UsageRecord.model,
    "action": UsageRecord.action,
}
MEASURES = ("requests", "errors", "tokens_in", "tokens_out", "cost")
MAX_GROUPS = 10_000

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")


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
        "totals": totals_of(session.execute(select(*sums()).where(*wanted)).mappings().one()),
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


def exact_sum(number: Any, name: str) -> list[ColumnElement[int]]:
    """The sum of a number from 0 up, as two columns that `exact_total` puts together.

    SQLite's own SUM ends at 64 bits, with an error.
    """
    bits = type_coerce(number, BigInteger)
    parts = {"high": bits.bitwise_rshift(32), "low": bits.bitwise_and(2**32 - 1)}
    return [
        func.coalesce(func.sum(part), 0).label(f"{name} {half}") for half, part in parts.items()
    ]


def exact_total(row: Mapping[Any, Any], name: str) -> int:
    """The sum that `exact_sum` asked for, however large; of amounts in units of `Money`."""
    return (int(row[f"{name} high"]) << 32) + int(row[f"{name} low"])


def cost_text(units: int) -> str:
    """A sum of amounts as a decimal, without an exponent and without trailing zeros."""
    text = f"{units * Money.UNIT:f}"
    return text.rstrip("0").rstrip(".")


def _grouped(
    session: Session, wanted: list[ColumnElement[bool]], group_by: str
) -> list[dict[str, Any]]:
    group = GROUPS[group_by]
    rows = session.execute(
        select(group.label("group"), *sums())
        .where(*wanted)
        .group_by(group)
        .order_by(group)
        .limit(MAX_GROUPS)
    ).mappings()
    return [{"group": row["group"], **totals_of(row)} for row in rows]


def sums() -> list[ColumnElement[Any]]:
    return [
        func.count().label("requests"),
        func.coalesce(func.sum(case((UsageRecord.is_error, 1), else_=0)), 0).label("errors"),
        *exact_sum(UsageRecord.tokens_in, "tokens_in"),
        *exact_sum(UsageRecord.tokens_out, "tokens_out"),
        *exact_sum(UsageRecord.cost, "cost"),
    ]


def totals_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "requests": row["requests"],
        "errors": int(row["errors"]),
        "tokens_in": exact_total(row, "tokens_in"),
        "tokens_out": exact_total(row, "tokens_out"),
        "cost": cost_text(exact_total(row, "cost")),
    }


def _cell(value: Any) -> Any:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
