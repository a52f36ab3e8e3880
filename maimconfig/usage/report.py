"""Usage reports: totals by day, hour, agent, key, user, model or action, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    case,
    func,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)

from maimconfig.db.session import Session
from maimconfig.db.types import Money
from maimconfig.http.pagination import Page
from maimconfig.tenants.models import Tenant
from maimconfig.usage.models import UsageRecord, UsageSum
from maimconfig.usage.pages import Groups, cut
from maimconfig.usage.spans import RECORDS, Span, spans
from maimconfig.usage.sums import LENGTHS, group_of
from maimconfig.usage.sums import MEASURES as SUMMED

# Each group's column, and of how long spans there are sums of it.
GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "day": (UsageRecord.day, ("day", "hour")),
    "hour": (UsageRecord.hour, ("hour",)),
    "agent": (UsageRecord.agent_id, ("year", "month", "day")),
    "api_key": (UsageRecord.api_key_id, ("year", "month", "day")),
    "user": (UsageRecord.user_id, ("year", "month", "day")),
    "model": (UsageRecord.model, ("month", "day")),
    "action": (UsageRecord.action, ("month", "day")),
}
TIMES = ("day", "hour")
MEASURES = ("requests", "errors", "tokens_in", "tokens_out", "cost")

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
_FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")


def make(
    session: Session,
    *,
    tenant_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    group_by: str | None = None,
    page: int = 1,
    page_size: int | None = None,
) -> dict[str, Any]:
    """Totals of a tenant's usage.

    Args:
        since, until: from (included) and to (excluded).
        group_by: a key of `GROUPS`; without it there are only the totals.
        page, page_size: which of the groups; all of them without a size.

    Returns:
        tenant_id, group_by, totals (of all groups), items: a row of `group` and the measures for
        each group of the page, and pagination.
    """
    window = (tenant_id, since, until)
    groups = list(_of_groups(*window, group_by)) if group_by else []
    total, chosen = cut(session, groups, page, page_size) if groups else (0, [])
    totals, *items = _rows(session, list(_of_all(*window)), chosen)
    return {
        "tenant_id": tenant_id,
        "group_by": group_by,
        "totals": totals_of(totals),
        "items": [{"group": _group(row["part"], group_by), **totals_of(row)} for row in items],
        "pagination": Page(items, page, page_size or max(total, 1), total).pagination,
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


def _of_all(
    tenant_id: str, since: datetime | None, until: datetime | None
) -> Iterator[Select[Any]]:
    """What all of a stretch of time is in."""
    for span in spans(since, until, ("month", "day", "hour")):
        yield _summed(tenant_id, "all", span, literal(""))


def _of_groups(
    tenant_id: str, since: datetime | None, until: datetime | None, group_by: str
) -> Iterator[Groups]:
    """What the groups of a stretch of time are in."""
    column, lengths = GROUPS[group_by]
    for span in spans(since, until, lengths):
        if span.length == RECORDS:
            rows = _summed(tenant_id, group_by, span, _part(column, group_by))
            yield Groups(rows, are_records=True)
        elif group_by in TIMES:
            period = func.substr(UsageSum.period, 1, LENGTHS[group_by])
            whole = group_by == span.length
            part = UsageSum.period if whole else period
            yield Groups(_summed(tenant_id, "all", span, part))
        else:
            rows = _summed(tenant_id, group_by, span, UsageSum.part)
            yield Groups(rows, length=span.length)


def _rows(
    session: Session, all_of_it: Sequence[Select[Any]], groups: Sequence[Select[Any]]
) -> Sequence[Mapping[Any, Any]]:
    """The totals and then the groups, in one statement, so that they fit together."""
    if not all_of_it:
        return [dict.fromkeys(SUMMED_UP, 0)]
    every = union_all(*all_of_it).subquery()
    wanted = [select(null().label("part"), *_added(every))]
    if groups:
        every = union_all(*groups).subquery()
        wanted.append(
            select(every.c.part, *_added(every)).where(every.c.requests > 0).group_by(every.c.part)
        )
    return session.execute(union_all(*wanted).order_by("part")).mappings().all()


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


def _group(part: str, group_by: str | None) -> str | None:
    return part if group_by in TIMES else group_of(part)


def _part(column: Any, group_by: str) -> Any:
    """The group of a record, as sums have it."""
    if group_by in TIMES:
        return column
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
