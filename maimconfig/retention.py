"""What is deleted for its age: usage, chats and conversations, the audit log, deliveries.

Each batch is a unit of work of its own and small, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, select

from maimconfig import clock
from maimconfig.audit.models import AuditLog
from maimconfig.chat.models import ChatMessage, ChatStream
from maimconfig.conversations.models import Conversation, ConversationMessage
from maimconfig.db.ids import first_id_of
from maimconfig.db.session import Session
from maimconfig.usage import sums
from maimconfig.usage.models import UsageRecord
from maimconfig.webhooks.models import Delivery

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

BATCH_ROWS = 500
MAX_BATCHES = 100
# Of usage each row is in several sums too, which are written with it.
USAGE_ROWS = 100

_UNSYNCHRONIZED: Any = {"synchronize_session": False}

Prune = Callable[[Session, datetime], int]


def batches(runtime: Runtime, at_most: int = MAX_BATCHES) -> Iterator[int]:
    """Delete what is older than the settings keep it, a batch a step.

    Args:
        at_most: batches of each kind; what is left then is for the next time.

    Yields:
        how many rows a batch deleted, 500 at most, streams not counted.
    """
    settings = runtime.settings
    kept: tuple[tuple[int | None, Prune], ...] = (
        (settings.usage_retention_days, prune_usage),
        (settings.chat_retention_days, prune_chat),
        (settings.chat_retention_days, prune_messages),
        (settings.chat_retention_days, prune_conversations),
        (settings.audit_retention_days, prune_audit),
        (settings.webhook_retention_days, prune_deliveries),
    )
    for days, prune in kept:
        if days is not None:
            yield from _batches(runtime, prune, clock.now() - timedelta(days=days), at_most)


def prune_usage(session: Session, before: datetime) -> int:
    """Delete a batch of the usage records that are older than a moment; how many there were."""
    columns = UsageRecord.__table__.c
    old = select(UsageRecord.__table__).where(columns.moment < before).order_by(columns.moment)
    # Locked, or two who prune at once would take the same records from the sums.
    rows = session.execute(old.limit(_size_of(prune_usage)).with_for_update()).mappings().all()
    _delete(session, UsageRecord, [row["id"] for row in rows])
    sums.subtract(session, [dict(row) for row in rows])
    return len(rows)


def prune_audit(session: Session, before: datetime) -> int:
    """Delete a batch of the audit entries that are older than a moment; how many there were."""
    return _prune(session, AuditLog, AuditLog.created_at, before)


def prune_deliveries(session: Session, before: datetime) -> int:
    """Delete a batch of the webhook deliveries that were settled before a moment; how many."""
    return _prune(session, Delivery, Delivery.settled_at, before)


def prune_chat(session: Session, before: datetime) -> int:
    """Delete a batch of the messages that are older than a moment, and streams that had no other.

    Returns:
        how many messages there were.
    """
    old = session.execute(
        select(ChatMessage.id, ChatMessage.stream_id)
        .where(ChatMessage.created_at < before)
        .order_by(ChatMessage.created_at)
        .limit(BATCH_ROWS)
    ).all()
    if not old:
        return 0
    # Locked first, as a chat does: nobody appends to a stream between the look and the end of it.
    touched = sorted({row.stream_id for row in old})
    session.execute(select(ChatStream.id).where(ChatStream.id.in_(touched)).with_for_update()).all()
    _delete(session, ChatMessage, [row.id for row in old])
    said = exists().where(ChatMessage.stream_id == ChatStream.id)
    silent = session.scalars(select(ChatStream.id).where(ChatStream.id.in_(touched), ~said)).all()
    _delete(session, ChatStream, list(silent))
    return len(old)


def prune_messages(session: Session, before: datetime) -> int:
    """Delete a batch of the conversations' messages that are older; how many there were.

    Their ids are ordered by time, so that no index is needed for it.
    """
    message = ConversationMessage.id
    old = select(message).where(message < first_id_of("msg", before)).order_by(message)
    ids = list(session.scalars(old.limit(BATCH_ROWS)).all())
    _delete(session, ConversationMessage, ids)
    return len(ids)


def prune_conversations(session: Session, before: datetime) -> int:
    """Delete a batch of the conversations in which nothing was said since, with their sessions;
    how many there were."""
    return _prune(session, Conversation, Conversation.last_activity_at, before)


def _batches(runtime: Runtime, prune: Prune, before: datetime, at_most: int) -> Iterator[int]:
    size = _size_of(prune)
    for _ in range(at_most * BATCH_ROWS // size):
        number = runtime.write(lambda session: prune(session, before))
        if number:
            yield number
        if number < size:
            return


def _size_of(prune: Prune) -> int:
    """How many rows a batch has at most."""
    return min(USAGE_ROWS, BATCH_ROWS) if prune is prune_usage else BATCH_ROWS


def _prune(session: Session, model: Any, moment: Any, before: datetime) -> int:
    old = select(model.id).where(moment < before).order_by(moment).limit(BATCH_ROWS)
    ids = list(session.scalars(old).all())
    _delete(session, model, ids)
    return len(ids)


def _delete(session: Session, model: Any, ids: list[str]) -> None:
    if ids:
        gone = delete(model).where(model.id.in_(ids))
        session.execute(gone, execution_options=_UNSYNCHRONIZED)
