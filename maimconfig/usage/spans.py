"""A stretch of time as whole years, months, days and hours, and what is left at both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

RECORDS = "records"
# Each leads from any beginning into the next one, or to its beginning.
_LONGEST = {
    "year": timedelta(days=366),
    "month": timedelta(days=31),
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
}
_FLOOR = {
    "year": {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "month": {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
}


class Span(NamedTuple):
    """A part of a stretch of time.

    Attributes:
        length: `year`, `month`, `day`, `hour`, of which it is whole ones; or `records`, of which
            it isn't.
        since, until: from (included) and to (excluded); None is open.
    """

    length: str
    since: datetime | None
    until: datetime | None


def spans(since: datetime | None, until: datetime | None, lengths: Sequence[str]) -> Iterator[Span]:
    """The longest spans that make up a stretch of time; none of an empty one.

    Args:
        since, until: from (included) and to (excluded), UTC; None is open.
        lengths: which there are to choose from, the longest first.
    """
    if since is not None and until is not None and since >= until:
        return
    if not lengths:
        yield Span(RECORDS, since, until)
        return
    first, last = _next_start(since, lengths[0]), until and _floor(until, lengths[0])
    if (since is not None and first is None) or (first and last and first >= last):
        yield from spans(since, until, lengths[1:])
        return
    if since is not None:
        yield from spans(since, first, lengths[1:])
    yield Span(lengths[0], first, last)
    if until is not None:
        yield from spans(last, until, lengths[1:])


def periods(first: str, last: str, length: str) -> Iterator[str]:
    """Every year, month or day from one to another, as sums name them (`2026`, `2026-11`, …)."""
    moment: datetime | None = datetime.fromisoformat(f"{first}-01-01"[:10])
    while moment is not None and (name := moment.isoformat()[: len(first)]) <= last:
        yield name
        moment = _next_start(moment + timedelta.resolution, length)


def _floor(moment: datetime, length: str) -> datetime:
    return moment.replace(**_FLOOR[length])  # type: ignore[arg-type]


def _next_start(moment: datetime | None, length: str) -> datetime | None:
    """The first whole one's beginning at or after a moment; None when the calendar ends before."""
    if moment is None:
        return None
    start = _floor(moment, length)
    if start == moment:
        return moment
    try:
        return _floor(start + _LONGEST[length], length)
    except OverflowError:
        return None
