"""The statements of intake, each built once: what is read before messages are stored, and written.

Building them anew for each batch would cost as much as executing them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, insert, select, tuple_, update

from maimconfig.conversations.messages import TABLE as MESSAGES
from maimconfig.conversations.models import Conversation, OwedReply
from maimconfig.db.session import Session
from maimconfig.sessions.models import OPEN_STATUSES, ChatSession
from maimconfig.tenants import service as tenants

Key = tuple[str, str, str]

_CONVERSATIONS: Any = Conversation.__table__
_SESSIONS: Any = ChatSession.__table__
_OWED: Any = OwedReply.__table__

# What messages change of a conversation.
_MOVED = (
    "status", "next_seq", "next_position", "first_reply_at", "last_activity_at", "resolved_at",
    "unread_staff", "unread_contact", "contact_read_seq", "staff_read_seq", "handled_by_ai",
    "handled_by_human",
)  # fmt: skip
# What is read of it besides.
_READ = (
    "id", "tenant_id", "agent_id", "contact_id", "current_agent_type", "assignee_id", *_MOVED,
)  # fmt: skip
_IDS: Any = bindparam("ids", expanding=True)

_LOCK = (
    select(*(_CONVERSATIONS.c[name] for name in _READ))
    .where(_CONVERSATIONS.c.id.in_(_IDS))
    .order_by(_CONVERSATIONS.c.id)
    .with_for_update()
)
_OPEN = select(_SESSIONS.c.id).where(
    _SESSIONS.c.id.in_(_IDS), _SESSIONS.c.status.in_(OPEN_STATUSES)
)
_KNOWN = select(MESSAGES).where(
    tuple_(MESSAGES.c.conversation_id, MESSAGES.c.sender_id, MESSAGES.c.client_id).in_(
        bindparam("keys", expanding=True)
    )
)
_STORE, _OWE = insert(MESSAGES), insert(_OWED)
_MOVE = (
    update(_CONVERSATIONS)
    .where(_CONVERSATIONS.c.id == bindparam("moved_id"))
    .values({name: bindparam(name) for name in _MOVED})
    .values(revision=_CONVERSATIONS.c.revision + 1, updated_at=bindparam("last_activity_at"))
)
_WAS_IDLE = _SESSIONS.c.status == "idle"
# MySQL shows later assignments what earlier ones wrote: `status`, which the others read, is last.
_SPOKEN = (
    update(_SESSIONS)
    .where(_SESSIONS.c.id.in_(_IDS))
    .ordered_values(
        (
            _SESSIONS.c.due_at,
            case((_WAS_IDLE, bindparam("due", type_=_SESSIONS.c.due_at.type)),
                 else_=_SESSIONS.c.due_at),
        ),
        (
            _SESSIONS.c.revision,
            case((_WAS_IDLE, _SESSIONS.c.revision + 1), else_=_SESSIONS.c.revision),
        ),
        (_SESSIONS.c.last_activity_at, bindparam("now", type_=_SESSIONS.c.due_at.type)),
        (_SESSIONS.c.updated_at, bindparam("now", type_=_SESSIONS.c.due_at.type)),
        (_SESSIONS.c.status, "active"),
    )
)  # fmt: skip


def lock(
    session: Session, ids: Collection[str], tenant_ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Conversations by id, which nobody else may touch until the end of the unit."""
    for tenant_id in sorted(tenant_ids):
        tenants.hold(session, tenant_id)
    found = session.connection().execute(_LOCK, {"ids": sorted(ids)}).mappings()
    return {row["id"]: {**row, "moved": False} for row in found}


def open_sessions(session: Session, ids: Collection[str]) -> set[str]:
    """Those of some sessions that haven't ended."""
    if not ids:
        return set()
    return set(session.connection().execute(_OPEN, {"ids": sorted(ids)}).scalars())


def known(session: Session, keys: Collection[Key]) -> dict[Key, Mapping[str, Any]]:
    """The messages that were stored before, by conversation, sender and client_id."""
    if not keys:
        return {}
    found: Any = session.connection().execute(_KNOWN, {"keys": sorted(keys)}).mappings()
    return {(row["conversation_id"], row["sender_id"], row["client_id"]): row for row in found}


def write(
    session: Session,
    messages: Sequence[Mapping[str, Any]],
    conversations: Sequence[Mapping[str, Any]],
    owed: Sequence[Mapping[str, Any]],
) -> None:
    """Store messages, what they change of their conversations, and the replies that are owed."""
    connection = session.connection()
    connection.execute(_STORE, messages)
    connection.execute(
        _MOVE,
        [{"moved_id": one["id"], **{name: one[name] for name in _MOVED}} for one in conversations],
    )
    if owed:
        connection.execute(_OWE, owed)


def note_spoken(session: Session, ids: Collection[str], now: datetime) -> None:
    """Sessions in which the contact spoke are active, from now on."""
    idle = timedelta(minutes=session.runtime.settings.session_idle_minutes)
    values = {"ids": sorted(ids), "now": now, "due": now + idle}
    session.connection().execute(_SPOKEN, values)
