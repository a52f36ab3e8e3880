"""Replies that are owed: who makes which, by leases that the database judges."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from maimconfig import clock
from maimconfig.conversations.models import OwedReply
from maimconfig.db.look_up import LookUp
from maimconfig.db.session import Session

# Renewed every 5 s. What a dead process owed is taken over after this and one look, so within 20 s.
LEASE = timedelta(seconds=15)
# Longer than anybody has one, or lets a reply rest: until the next minute of a quota, at most.
_NEVER_SO_LONG = timedelta(minutes=5)


class Owed(NamedTuple):
    """A reply that this process makes."""

    id: str
    tenant_id: str
    conversation_id: str
    message_id: str
    session_id: str | None
    position: int
    attempts: int


_COLUMNS = [getattr(OwedReply, name) for name in Owed._fields]

# How many replies are owed, of all processes.
NUMBER: LookUp[int] = LookUp(select(func.count()).select_from(OwedReply), int)


def due(session: Session, at_most: int, but: Collection[str] = ()) -> Sequence[str]:
    """Replies that nobody makes, the oldest first, and of each conversation only its first.

    Args:
        but: ids of those that this process makes still, though its lease may be over.
    """
    earlier = aliased(OwedReply)
    first = ~exists().where(
        earlier.conversation_id == OwedReply.conversation_id,
        earlier.position < OwedReply.position,
    )
    found = select(OwedReply.id).where(_is_free(clock.now()), first)
    if but:
        found = found.where(OwedReply.id.not_in(sorted(but)))
    return session.scalars(found.order_by(OwedReply.leased_until).limit(at_most)).all()


def claim(session: Session, owner: str, ids: Sequence[str]) -> list[Owed]:
    """Take replies that nobody makes; of two processes that want one, one gets it."""
    now = clock.now()
    until = now + LEASE
    taken = (
        update(OwedReply)
        .where(OwedReply.id.in_(sorted(ids)), _is_free(now))
        .values(lease_owner=owner, leased_until=until, attempts=OwedReply.attempts + 1)
    )
    _count(session, taken)
    mine = select(*_COLUMNS).where(
        OwedReply.id.in_(sorted(ids)),
        OwedReply.lease_owner == owner,
        OwedReply.leased_until == until,
    )
    return [Owed(*row) for row in session.execute(mine.order_by(OwedReply.created_at))]


def renew(session: Session, owner: str, ids: Collection[str]) -> set[str]:
    """Keep the leases on replies; those that are still this process's."""
    mine = (OwedReply.id.in_(sorted(ids)), OwedReply.lease_owner == owner)
    _count(session, update(OwedReply).where(*mine).values(leased_until=clock.now() + LEASE))
    return set(session.scalars(select(OwedReply.id).where(*mine)))


def give_back(session: Session, owner: str, ids: Collection[str], until: datetime) -> None:
    """Let somebody else make replies.

    Args:
        until: from when on.
    """
    given = update(OwedReply).where(OwedReply.id.in_(sorted(ids)), OwedReply.lease_owner == owner)
    _count(session, given.values(lease_owner=None, leased_until=until))


def take(session: Session, owner: str, owed_id: str) -> bool:
    """End a reply, once: whether it was owed still, and this process's to make."""
    gone = delete(OwedReply).where(OwedReply.id == owed_id, OwedReply.lease_owner == owner)
    return _count(session, gone) == 1


def is_owed(session: Session, message_id: str) -> bool:
    """Whether a message has yet to be answered by the AI."""
    found = select(OwedReply.id).where(OwedReply.message_id == message_id)
    return session.scalar(found) is not None


def _is_free(now: datetime) -> ColumnElement[bool]:
    until = OwedReply.leased_until
    return or_(until <= now, until > now + _NEVER_SO_LONG + clock.AHEAD)


def _count(session: Session, statement: Any) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return result.rowcount  # type: ignore[attr-defined, no-any-return]
