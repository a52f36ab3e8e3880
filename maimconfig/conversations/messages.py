"""Messages as they are read: the form on the wire, and pages of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from maimconfig import clock
from maimconfig.conversations.models import ConversationMessage
from maimconfig.db.session import Session
from maimconfig.http.errors import ChatMessageNotFound

TABLE: Any = ConversationMessage.__table__
_COLUMNS = TABLE.c


class Told(NamedTuple):
    """A message, and where it stands among all of its conversation."""

    position: int
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """A piece of a conversation, in order.

    Attributes:
        total: how many messages the conversation has, as far as the caller may see them.
        has_more: whether there is more in the direction that was read.
    """

    messages: Sequence[dict[str, Any]]
    total: int
    has_more: bool


def shown(row: Any) -> dict[str, Any]:
    """A message on the wire (contract, Chat).

    Args:
        row: of the table, by the columns' names.
    """
    return {
        "id": row["id"],
        "seq": row["seq"],
        "conversation_id": row["conversation_id"],
        "session_id": row["session_id"],
        "sender_type": row["sender_type"],
        "sender_id": row["sender_id"],
        "content": row["content"],
        "message_type": row["message_type"],
        "metadata": row["metadata"],
        "is_private": row["is_private"],
        "created_at": clock.wire(row["created_at"]),
        "client_id": row["client_id"],
        "reply_to": row["reply_to"],
        "state": row["state"],
        "rating": row["rating"],
    }


def shown_row(message: ConversationMessage) -> dict[str, Any]:
    """A message on the wire, from its object of the ORM."""
    return shown({name: getattr(message, _ATTRIBUTES.get(name, name)) for name in _NAMES})


_NAMES = tuple(TABLE.columns.keys())
# Where an attribute isn't named as its column.
_ATTRIBUTES = {"metadata": "details"}


def after(
    session: Session, conversation_id: str, position: int, *, private: bool, limit: int = 500
) -> list[Told]:
    """What a conversation has after a position, in order.

    Args:
        private: whether notes are wanted too.
        limit: how many at most.
    """
    wanted = _of(conversation_id, private).where(_COLUMNS.position > position)
    rows = session.execute(wanted.order_by(_COLUMNS.position).limit(limit)).mappings()
    return [Told(row["position"], shown(row)) for row in rows]


def position_of_seq(session: Session, conversation_id: str, seq: int) -> int:
    """The position of the last message that the contact sees up to a seq; 0 when there is none."""
    found = select(func.max(_COLUMNS.position)).where(
        _COLUMNS.conversation_id == conversation_id, _COLUMNS.seq <= seq
    )
    return session.scalar(found) or 0


def history(
    session: Session,
    conversation_id: str,
    *,
    private: bool,
    limit: int,
    before: str | None = None,
    following: str | None = None,
) -> History:
    """The last messages of a conversation, or those before or after one.

    Args:
        private: whether notes are wanted too.
        before, following: the seq or the id of a message.

    Raises:
        ChatMessageNotFound: the conversation has no such message.
    """
    wanted = _of(conversation_id, private)
    if before is not None:
        wanted = wanted.where(_COLUMNS.position < _position(session, conversation_id, before))
    order = _COLUMNS.position.desc()
    if following is not None:
        wanted = wanted.where(_COLUMNS.position > _position(session, conversation_id, following))
        order = _COLUMNS.position
    rows = session.execute(wanted.order_by(order).limit(limit + 1)).mappings().all()
    found = [shown(row) for row in rows[:limit]]
    return History(
        found if following is not None else found[::-1],
        _total(session, conversation_id, private),
        len(rows) > limit,
    )


def _of(conversation_id: str, private: bool) -> Select[Any]:
    wanted = select(TABLE).where(_COLUMNS.conversation_id == conversation_id)
    return wanted if private else wanted.where(_COLUMNS.seq.is_not(None))


def _total(session: Session, conversation_id: str, private: bool) -> int:
    # They are numbered without gaps; the first ones may be gone for their age.
    number = _COLUMNS.position if private else _COLUMNS.seq
    first_to_last = func.max(number) - func.min(number) + 1
    found = select(first_to_last).where(_COLUMNS.conversation_id == conversation_id)
    return session.scalar(found) or 0


def _position(session: Session, conversation_id: str, named: str) -> int:
    wanted = select(_COLUMNS.position).where(_COLUMNS.conversation_id == conversation_id)
    if named.isascii() and named.isdigit():
        seq = int(named[:18])
        numbered: int | None = session.scalar(wanted.where(_COLUMNS.seq == seq))
        # Beyond either end there is nothing, and that isn't wrong.
        return numbered if numbered is not None else 0 if seq == 0 else 2**62
    found: int | None = session.scalar(wanted.where(_COLUMNS.id == named))
    if found is None:
        raise ChatMessageNotFound
    return found
