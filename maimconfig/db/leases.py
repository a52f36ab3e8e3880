"""Leases: what one process of many does, until it stops or dies."""

from __future__ import annotations

import functools
import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import String, or_, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig import clock
from maimconfig.db.base import MYSQL_TABLE, Base
from maimconfig.db.session import Session

# Long ago; a lease that nobody has had yet.
_NEVER = datetime(2000, 1, 1, tzinfo=clock.UTC)


class Lease(Base):
    """Who does a thing, and until when nobody else may.

    Attributes:
        name: of the thing.
        owner: the process that has it.
    """

    __tablename__ = "leases"
    __table_args__ = MYSQL_TABLE

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    until: Mapped[datetime] = mapped_column()


@functools.cache
def _name_of(pid: int) -> str:
    return f"{socket.gethostname()[:60]}:{pid}:{secrets.token_hex(4)}"


def this_process() -> str:
    """A name that no other process has, nor this one after a fork."""
    return _name_of(os.getpid())


def take(session: Session, name: str, owner: str, lasts: timedelta) -> bool:
    """Take a lease that is free, or keep the one that is held; the UPDATE itself judges.

    Args:
        owner: who asks; a name that no other process has.
        lasts: how long nobody else may take it.

    Returns:
        whether it is the owner's now.
    """
    _make(session, name)
    now = clock.now()
    over = or_(Lease.until <= now, Lease.until > now + lasts + clock.AHEAD)
    taken = (
        update(Lease)
        .where(Lease.name == name, or_(Lease.owner == owner, over))
        .values(owner=owner, until=now + lasts)
    )
    result = session.execute(taken, execution_options={"synchronize_session": False})
    return result.rowcount == 1  # type: ignore[attr-defined, no-any-return]


def give_back(session: Session, name: str, owner: str) -> None:
    """End a lease early, so that somebody else may have it at once."""
    session.execute(
        update(Lease).where(Lease.name == name, Lease.owner == owner).values(until=_NEVER),
        execution_options={"synchronize_session": False},
    )


def alone(session: Session, name: str) -> None:
    """Wait until nobody else is in a unit that called this with the same name.

    The row is changed and not only locked: the nodes of a Galera cluster know nothing of each
    other's locks, but of two who changed a row the second runs again.
    """
    _make(session, name)
    session.execute(
        update(Lease).where(Lease.name == name).values(owner=secrets.token_hex(8)),
        execution_options={"synchronize_session": False},
    )


def _make(session: Session, name: str) -> None:
    if session.scalar(select(Lease.name).where(Lease.name == name)) is not None:
        return
    first = {"name": name, "owner": "", "until": _NEVER}
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(Lease).values(first).on_conflict_do_nothing())
    else:
        again = mysql.insert(Lease).values(first)
        session.execute(again.on_duplicate_key_update(owner=Lease.owner))
