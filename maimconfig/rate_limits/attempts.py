"""Attempts of which only failures count, and yet no more are made than may fail.

Each attempt is counted before it is made and given back when it succeeds. So whatever number
comes at once, no more than the limit are under way or have failed. One that finds the limit used
up by others under way isn't refused for that: they may succeed, so it waits for how they end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import case, or_, select, update

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.http.errors import RateLimited
from maimconfig.rate_limits import service
from maimconfig.rate_limits.models import RateWindow
from maimconfig.rate_limits.service import RateVerdict

# Whatever is under way longer died with its process, and isn't waited for.
FORGOTTEN_AFTER = timedelta(seconds=30)


class Undecided(Exception):
    """The limit is used up by attempts that are under way: ask again soon."""


@dataclass(frozen=True)
class Attempt:
    """One that may be made.

    Attributes:
        windows: when the window that it was counted in began, by subject.
        rate: what is left of the limit that is used up first, with this one counted.
    """

    windows: Mapping[str, datetime]
    rate: RateVerdict

    def rate_after(self, *, failed: bool) -> RateVerdict:
        """What is left once it has ended."""
        return self.rate if failed else replace(self.rate, remaining=self.rate.remaining + 1)


def look(session: Session, subjects: Sequence[str], *, limit: int, window: timedelta) -> list[str]:
    """Refuse what is refused in any case, without a write; to be asked before `begin`.

    Returns:
        the windows that aren't there yet. Make each in a unit of its own: of several who insert
        one at the same time and then roll back, MySQL ends all but one as a deadlock.

    Raises:
        RateLimited: so many have failed.
    """
    wanted = [*subjects, *map(_under_way, subjects)]
    rows = select(RateWindow.subject, RateWindow.used, RateWindow.started_at)
    found = {
        row.subject: row for row in session.execute(rows.where(RateWindow.subject.in_(wanted)))
    }
    now = clock.now()
    over = [
        row
        for subject in subjects
        if (row := found.get(subject))
        and row.used >= limit
        and now - window < row.started_at <= now + clock.AHEAD
    ]
    if over and not all(_is_under_way(session, row.subject) for row in over):
        ends = max(row.started_at + window for row in over)
        reset = max(1, ceil((ends - now).total_seconds()))
        raise _refusal(limit, reset)
    return [subject for subject in wanted if subject not in found]


def begin(session: Session, subjects: Sequence[str], *, limit: int, window: timedelta) -> Attempt:
    """Count an attempt for each of its subjects, or for none; end the unit before it is made.

    Args:
        subjects: whose limits it is under; always in the same order of kinds, or two of them
            wait for each other.
        limit: attempts that may fail in a window.
        window: how long one lasts.

    Raises:
        RateLimited: so many have failed.
        Undecided: so many have failed or are under way.
    """
    verdicts = {
        subject: service.take(session, subject, limit=limit, window=window) for subject in subjects
    }
    refused = {subject: verdict for subject, verdict in verdicts.items() if not verdict.allowed}
    if refused:
        if all(_is_under_way(session, subject) for subject in refused):
            raise Undecided
        raise _refusal(limit, max(verdict.reset for verdict in refused.values()))
    for subject in subjects:
        _note(session, subject)
    rows = select(RateWindow.subject, RateWindow.started_at).where(RateWindow.subject.in_(subjects))
    began = dict(session.execute(rows).all())
    # In the order that they were locked in, for `end` locks them again.
    windows = {subject: began[subject] for subject in subjects}
    return Attempt(windows, min(verdicts.values(), key=lambda verdict: verdict.remaining))


def end(session: Session, attempt: Attempt, *, failed: bool) -> None:
    """Say how an attempt ended.

    Args:
        failed: it stays counted; else it is given back, to no other window than it was taken of.
    """
    for subject, began in attempt.windows.items():
        if not failed:
            _count_down(session, subject, began)
    for subject in attempt.windows:
        _count_down(session, _under_way(subject))


def _refusal(limit: int, reset: int) -> RateLimited:
    verdict = RateVerdict(False, limit, 0, reset)
    return RateLimited(retry_after=reset, headers=verdict.headers)


def _under_way(subject: str) -> str:
    return f"now:{subject}"


def _is_under_way(session: Session, subject: str) -> bool:
    now = clock.now()
    found = select(RateWindow.subject).where(
        RateWindow.subject == _under_way(subject),
        RateWindow.used > 0,
        RateWindow.started_at > now - FORGOTTEN_AFTER,
        RateWindow.started_at <= now + clock.AHEAD,
    )
    return session.scalar(found) is not None


def _note(session: Session, subject: str) -> None:
    service.make_window(session, _under_way(subject))
    now = clock.now()
    died = or_(
        RateWindow.started_at <= now - FORGOTTEN_AFTER, RateWindow.started_at > now + clock.AHEAD
    )
    # `used` first, as in `service`.
    noted = update(RateWindow).where(RateWindow.subject == _under_way(subject))
    session.execute(
        noted.ordered_values(
            (RateWindow.used, case((died, 1), else_=RateWindow.used + 1)),
            (RateWindow.started_at, now),
        ),
        execution_options={"synchronize_session": False},
    )


def _count_down(session: Session, subject: str, began: datetime | None = None) -> None:
    counted = update(RateWindow).where(RateWindow.subject == subject, RateWindow.used > 0)
    if began is not None:
        counted = counted.where(RateWindow.started_at == began)
    session.execute(
        counted.values(used=RateWindow.used - 1),
        execution_options={"synchronize_session": False},
    )
