"""Which groups of a usage report are on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, union, union_all

from maimconfig.db.session import Session
from maimconfig.http.pagination import Stretch, stretch
from maimconfig.usage.models import UsageSum
from maimconfig.usage.spans import periods

# Of so many periods each is looked at by itself; of more, all at once.
MOST_PERIODS = 100


class Groups(NamedTuple):
    """The groups of a span of time.

    Attributes:
        rows: `part` and the measures of each, some of them more than once.
        are_records: they are no stored sums.
        length: `year`, `month` or `day` of stored sums of agents, keys, …, which an index has in
            order within each period; None of what else is grouped.
        periods: those that there are; None where they aren't known, or too many.
    """

    rows: Select[Any]
    are_records: bool = False
    length: str | None = None
    periods: Sequence[str] | None = None


def cut(
    session: Session, spans: Sequence[Groups], page: int, page_size: int | None
) -> tuple[int, list[Select[Any]]]:
    """How many groups there are, and the rows of those on a page.

    Args:
        page, page_size: which page; all of them without a size.
    """
    part = union_all(*map(_named, spans)).subquery().c.part
    total = session.scalar(select(func.count(part.distinct()))) or 0
    if page == 1 and (page_size is None or total <= page_size):
        return total, [span.rows for span in spans]
    size = page_size or total
    found = stretch(limit=size, offset=(page - 1) * size, total=total)
    if not found.limit:
        return total, []
    known = [_with_periods(session, span) for span in spans]
    pieces = [piece for span in known for piece in _by_period(span)]
    if not pieces:  # all were deleted just now
        return total, []
    first, last = session.execute(_ends(pieces, found)).one()
    return total, [_between(span, first, last) for span in known]


def _with_periods(session: Session, span: Groups) -> Groups:
    if span.length is None:
        return span
    ends = span.rows.with_only_columns(func.min(UsageSum.period), func.max(UsageSum.period))
    first, last = session.execute(ends).one()
    if not first:
        return span._replace(periods=())
    every = tuple(islice(periods(first, last, span.length), MOST_PERIODS + 1))
    return span._replace(periods=every) if len(every) <= MOST_PERIODS else span


def _by_period(span: Groups) -> Iterator[Select[Any]]:
    """The parts of a span, in order where its periods are known."""
    named = _named(span)
    if span.periods is None:
        yield named
        return
    for period in span.periods:
        yield named.where(UsageSum.period == period)


def _named(span: Groups) -> Select[Any]:
    """The parts of a span that have any requests."""
    parts = span.rows.with_only_columns(span.rows.selected_columns.part)
    return parts if span.are_records else parts.where(UsageSum.requests > 0)


def _between(span: Groups, first: str, last: str) -> Select[Any]:
    """The rows of a span whose parts are between two."""
    if span.length is not None:
        rows = span.rows.where(UsageSum.part.between(first, last))
        # By scope, kind, period and part the primary key finds them.
        return rows if span.periods is None else rows.where(UsageSum.period.in_(span.periods))
    every = span.rows.subquery()
    return select(every).where(every.c.part.between(first, last))


def _ends(pieces: Sequence[Select[Any]], found: Stretch) -> Select[Any]:
    """The first and the last part of a stretch, of which each piece gives as many as may count."""

    def directed(parts: Select[Any]) -> Select[Any]:
        [part] = parts.selected_columns
        return parts.order_by(part.desc() if found.from_end else part)

    def nearest(piece: Select[Any]) -> Select[Any]:
        distinct = directed(piece.distinct()).limit(found.skip + found.limit)
        return select(distinct.subquery())

    merged = select(union(*map(nearest, pieces)).subquery())
    page = directed(merged).limit(found.limit).offset(found.skip).subquery()
    return select(func.min(page.c.part), func.max(page.c.part))
