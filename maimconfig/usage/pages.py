"""Which groups of a usage report are on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select, union, union_all

from maimconfig.db.session import Session
from maimconfig.http.pagination import Stretch, stretch
from maimconfig.usage.models import UsageSum

# Of so many periods each is looked at by itself; of more, all at once.
MOST_PERIODS = 100


class Groups(NamedTuple):
    """The groups of a span of time.

    Attributes:
        rows: `part` and the measures of each, some of them more than once.
        are_parts: they are stored sums of agents, keys, …, in order within each period.
    """

    rows: Select[Any]
    are_parts: bool


def cut(
    session: Session, spans: Sequence[Groups], page: int, page_size: int | None
) -> tuple[int, tuple[str, str] | None]:
    """How many groups there are, and the first and the last of a page that has any.

    Args:
        page, page_size: which page; all of them without a size.
    """
    every = union_all(*map(_named, spans)).subquery()
    part = every.c.part
    counted = select(func.count(part.distinct()), func.min(part), func.max(part))
    total, first, last = session.execute(counted).one()
    if page_size is not None and (page > 1 or total > page_size):
        found = stretch(limit=page_size, offset=(page - 1) * page_size, total=total)
        pieces = [piece for span in spans for piece in _in_order(session, span)]
        first, last = session.execute(_ends(pieces, found)).one() if found.limit else (None, None)
    return total, None if first is None else (first, last)


def _named(span: Groups) -> Select[Any]:
    """The parts of a span that have any requests."""
    if span.are_parts:
        return span.rows.with_only_columns(UsageSum.part).where(UsageSum.requests > 0)
    every = span.rows.subquery()
    return select(every.c.part).where(every.c.requests > 0).distinct()


def _in_order(session: Session, span: Groups) -> Iterator[Select[Any]]:
    """The parts of a span, period by period: an index has them in their order."""
    named = _named(span)
    if not span.are_parts:
        yield named
        return
    periods = session.scalars(
        span.rows.with_only_columns(UsageSum.period).distinct().limit(MOST_PERIODS + 1)
    ).all()
    if len(periods) > MOST_PERIODS:
        yield named.distinct()
        return
    for period in periods:
        yield named.where(UsageSum.period == period)


def _ends(pieces: Sequence[Select[Any]], found: Stretch) -> Select[Any]:
    """The first and the last part of a stretch, of which each piece gives as many as may count."""

    def ordered(parts: Any) -> Select[Any]:
        column = parts.c.part
        return select(column).order_by(column.desc() if found.from_end else column)

    def nearest(piece: Select[Any]) -> Select[Any]:
        [column] = piece.selected_columns
        directed = piece.order_by(column.desc() if found.from_end else column)
        return select(directed.limit(found.skip + found.limit).subquery())

    merged = union(*map(nearest, pieces)).subquery()
    page = ordered(merged).limit(found.limit).offset(found.skip).subquery()
    return select(func.min(page.c.part), func.max(page.c.part))
