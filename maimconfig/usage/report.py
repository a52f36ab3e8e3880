"""Usage reports: totals by day, hour, agent, key, user, model or action, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    case,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)

from maimconfig.db.session import Session
from maimconfig.db.types import Money
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord, UsageSum
from maimconfig.usage.spans import RECORDS, Span, spans
from maimconfig.usage.sums import LENGTHS, group_of
from maimconfig.usage.sums import MEASURES as SUMMED

# Each group's column, and of how long spans there are sums of it.
GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "day": (UsageRecord.day, ("day", "hour")),
    "hour": (UsageRecord.hour, ("hour",)),
    "agent": (UsageRecord.agent_id, ("month", "day")),
    "api_key": (UsageRecord.api_key_id, ("month", "day")),
    "user": (UsageRecord.user_id, ("month", "day")),
    "model": (UsageRecord.model, ("month", "day")),
    "action": (UsageRecord.action, ("month", "day")),
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
    items = _grouped(session, tenant_id, since, until, group_by) if group_by else []
    return {
        "tenant_id": tenant_id,
        "group_by": group_by,
        "totals": _totals(session, tenant_id, since, until),
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


def _totals(
    session: Session, tenant_id: str, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    found = [
        _summed(tenant_id, "all", span, literal(""))
        for span in spans(since, until, ("month", "day", "hour"))
    ]
    if not found:
        return totals_of(dict.fromkeys(SUMMED_UP, 0))
    every = union_all(*found).subquery()
    return totals_of(session.execute(select(*_added(every))).mappings().one())


def _grouped(
    session: Session, tenant_id: str, since: datetime | None, until: datetime | None, group_by: str
) -> list[dict[str, Any]]:
    column, lengths = GROUPS[group_by]
    found = []
    for span in spans(since, until, lengths):
        if span.length == RECORDS:
            found.append(_summed(tenant_id, group_by, span, _part(column)))
        elif group_by in ("day", "hour"):
            period = func.substr(UsageSum.period, 1, LENGTHS[group_by])
            found.append(_summed(tenant_id, "all", span, literal("=") + period))
        else:
            found.append(_summed(tenant_id, group_by, span, UsageSum.part))
    if not found:
        return []
    every = union_all(*found).subquery()
    rows = session.execute(
        select(every.c.part, *_added(every))
        .group_by(every.c.part)
        .having(func.sum(every.c.requests) > 0)
        .order_by(every.c.part)
        .limit(MAX_GROUPS)
    ).mappings()
    return [{"group": group_of(row["part"]), **totals_of(row)} for row in rows]


def _summed(tenant_id: str, what: str, span: Span, part: Any) -> Select[Any]:
    """What a span adds up to: the sums of whole months, days or hours, or the records of the rest.

    Args:
        what: the beginning of a kind of sums.
        part: by which it is grouped.
    """
    if span.length == RECORDS:
        wanted = [UsageRecord.tenant_id == tenant_id]
        if span.since is not None:
            wanted.append(UsageRecord.moment >= span.since)
        if span.until is not None:
            wanted.append(UsageRecord.moment < span.until)
        return select(part.label("part"), *sums()).where(*wanted).group_by(part)
    wanted = [UsageSum.scope == tenant_id, UsageSum.kind == f"{what} {span.length}"]
    size = LENGTHS[span.length]
    if span.since is not None:
        wanted.append(UsageSum.period >= span.since.isoformat()[:size])
    if span.until is not None:
        wanted.append(UsageSum.period < span.until.isoformat()[:size])
    return select(part.label("part"), *_stored()).where(*wanted)


def _part(column: Any) -> ColumnElement[str]:
    """The group of a record, as sums have it."""
    return case((column.is_(None), ""), else_=literal("=") + column)


def _stored() -> list[ColumnElement[int]]:
    """The measures of stored sums, named as those of `sums`."""
    names = zip(SUMMED, SUMMED_UP, strict=True)
    return [getattr(UsageSum, name).label(label) for name, label in names]


def _added(rows: Any) -> list[ColumnElement[int]]:
    """The sums of rows that are sums."""
    return [func.coalesce(func.sum(rows.c[name]), 0).label(name) for name in SUMMED_UP]


def sums() -> list[ColumnElement[Any]]:
    """The measures of records, each summed up exactly."""
    return [
        func.count().label("requests"),
        func.coalesce(func.sum(case((UsageRecord.is_error, 1), else_=0)), 0).label("errors"),
        *exact_sum(UsageRecord.tokens_in, "tokens_in"),
        *exact_sum(UsageRecord.tokens_out, "tokens_out"),
        *exact_sum(UsageRecord.cost, "cost"),
    ]


# As `totals_of` reads them, in the order of `MEASURES` of the sums.
SUMMED_UP = ("requests", "errors", *(f"{name} {half}" for name in MEASURES[2:]
                                     for half in ("high", "low")))  # fmt: skip


def totals_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The measures on the wire, of a row that `sums` or `_added` asked for."""
    return {
        "requests": int(row["requests"]),
        "errors": int(row["errors"]),
        "tokens_in": exact_total(row, "tokens_in"),
        "tokens_out": exact_total(row, "tokens_out"),
        "cost": cost_text(exact_total(row, "cost")),
    }


def of_everybody(session: Session, kind: str, period: str) -> dict[str, Any]:
    """The totals of all tenants, and of records without one, in one period.

    Args:
        kind: `all day` or `all month`.
    """
    nobodys = literal("")
    scopes = union_all(select(Tenant.id), select(nobodys)).subquery()
    rows = (
        select(*_stored())
        .join(scopes, UsageSum.scope == scopes.c[0])
        .where(UsageSum.kind == kind, UsageSum.period == period)
        .subquery()
    )
    return totals_of(session.execute(select(*_added(rows))).mappings().one())


def _cell(value: Any) -> Any:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
