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
        length: `year`, `month` or `day` of stored sums of agents, keys, …, which an index has in
            order within each period; None of what else is grouped.
    """

    rows: Select[Any]
    length: str | None = None


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
    pieces = [piece for span in spans for piece in _by_period(session, span)]
    first, last = session.execute(_ends(map(_named, pieces), found)).one()
    return total, [_between(piece, first, last) for piece in pieces]


def _by_period(session: Session, span: Groups) -> Iterator[Groups]:
    """A span period by period; as it is, where it has no or too many periods."""
    if span.length is None:
        yield span
        return
    ends = span.rows.with_only_columns(func.min(UsageSum.period), func.max(UsageSum.period))
    first, last = session.execute(ends).one()
    if not first:  # there is none
        return
    every = list(islice(periods(first, last, span.length), MOST_PERIODS + 1))
    if len(every) > MOST_PERIODS:
        yield span
        return
    for period in every:
        yield span._replace(rows=span.rows.where(UsageSum.period == period))


def _named(span: Groups) -> Select[Any]:
    """The parts of a span that have any requests."""
    if span.length is not None:
        return span.rows.with_only_columns(UsageSum.part).where(UsageSum.requests > 0)
    every = span.rows.subquery()
    return select(every.c.part).where(every.c.requests > 0)


def _between(span: Groups, first: str, last: str) -> Select[Any]:
    """The rows of a span whose parts are between two."""
    if span.length is not None:
        return span.rows.where(UsageSum.part.between(first, last))
    every = span.rows.subquery()
    return select(every).where(every.c.part.between(first, last))


def _ends(pieces: Iterator[Select[Any]], found: Stretch) -> Select[Any]:
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
