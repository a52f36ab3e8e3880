"""Rate limits that hold over threads, processes and machines: the database judges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.rate_limits.models import RateWindow

MAX_WINDOW = timedelta(days=366)
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class RateVerdict:
    """What a limit says of one request.

    Attributes:
        allowed: whether it was within the limit, and counted.
        limit: requests a window.
        remaining: how many are left in this window.
        reset: whole seconds until the window ends.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The RateLimit headers of the answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


def take(session: Session, subject: str, *, limit: int, window: timedelta) -> RateVerdict:
    """Count one request, unless the window's limit is used up.

    A window begins with its first request. One conditional UPDATE judges, so that of two
    requests at once only one gets the last place.

    Args:
        subject: what is limited.
        limit: requests a window, 0 for none at all.
        window: how long a window lasts.
    """
    allowed = limit > 0 and _count(session, subject, limit, window)
    if not allowed and limit > 0:
        # It is counted again in any case: somebody else may have made the window meanwhile.
        make_window(session, subject)
        allowed = _count(session, subject, limit, window)
    return _verdict(session, subject, allowed, limit, window)


def look(session: Session, subject: str, *, limit: int, window: timedelta) -> RateVerdict:
    """What is left of a limit, counting nothing."""
    return _verdict(session, subject, True, limit, window)


def make_window(session: Session, subject: str) -> None:
    """Make the row of a limit that is met for the first time, with nothing counted."""
    if session.scalar(select(RateWindow.used).where(RateWindow.subject == subject)) is not None:
        return
    first = {"subject": subject, "started_at": clock.now(), "used": 0}
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(RateWindow).values(first).on_conflict_do_nothing())
    else:
        # INSERT IGNORE would take a shared lock on a row that is there, and two of them
        # deadlock at the UPDATE that follows; this takes the exclusive one at once.
        again = mysql.insert(RateWindow).values(first)
        session.execute(again.on_duplicate_key_update(used=RateWindow.used))


def forget_old(session: Session) -> None:
    """Delete windows that ended long ago; those of logins, which anybody makes, after a day."""
    of_keys = RateWindow.subject.startswith("key:")
    began = RateWindow.started_at
    ended = or_(began < clock.now() - MAX_WINDOW, ~of_keys & (began < clock.now() - A_DAY))
    session.execute(
        delete(RateWindow).where(ended), execution_options={"synchronize_session": False}
    )


def _verdict(
    session: Session, subject: str, allowed: bool, limit: int, window: timedelta
) -> RateVerdict:
    now = clock.now()
    row = session.execute(
        select(RateWindow.started_at, RateWindow.used).where(RateWindow.subject == subject)
    ).first()
    if row is None or not now - window < row.started_at <= now + clock.AHEAD:
        return RateVerdict(allowed, limit, limit, ceil(window.total_seconds()))
    reset = max(1, ceil((row.started_at + window - now).total_seconds()))
    return RateVerdict(allowed, limit, max(0, limit - row.used), reset)


def _count(session: Session, subject: str, limit: int, window: timedelta) -> bool:
    now = clock.now()
    ended = or_(RateWindow.started_at <= now - window, RateWindow.started_at > now + clock.AHEAD)
    # MySQL assigns from left to right and shows later assignments what earlier ones wrote:
    # `used` must come before `started_at`, which its CASE reads.
    counted = (
        update(RateWindow)
        .where(RateWindow.subject == subject, or_(ended, RateWindow.used < limit))
        .ordered_values(
            (RateWindow.used, case((ended, 1), else_=RateWindow.used + 1)),
            (RateWindow.started_at, case((ended, now), else_=RateWindow.started_at)),
        )
        .execution_options(synchronize_session=False)
    )
    rows: int = session.execute(counted).rowcount  # type: ignore[attr-defined]
    return rows == 1
