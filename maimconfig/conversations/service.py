"""Conversations: begun, found, locked for a change, told about."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import select

from maimconfig import clock
from maimconfig.conversations.models import Conversation
from maimconfig.db.session import Session
from maimconfig.events import Look
from maimconfig.http.errors import ConversationNotFound
from maimconfig.tenants import service as tenants


def locked(session: Session, conversation_id: str, tenant_id: str | None = None) -> Conversation:
    """A conversation that nobody else may touch until the end of the unit.

    Args:
        tenant_id: whose it must be; None for any.

    Raises:
        ConversationNotFound: there is none.
    """
    found = select(Conversation).where(Conversation.id == conversation_id)
    if tenant_id is not None:
        found = found.where(Conversation.tenant_id == tenant_id)
    owner = select(Conversation.tenant_id).where(Conversation.id == conversation_id)
    tenants.hold(session, owner.scalar_subquery())
    conversation = session.scalars(
        found.with_for_update().execution_options(populate_existing=True)
    ).first()
    if conversation is None:
        raise ConversationNotFound
    return conversation


def touched(session: Session, conversation: Conversation) -> None:
    """Count a change of a locked conversation, and have its listeners told after the commit."""
    conversation.revision += 1
    conversation.updated_at = clock.now()
    tell(session, conversation.id)


def tell(session: Session, conversation_id: str) -> None:
    """Have a conversation's listeners look at it after the commit."""
    bus = session.runtime.bus
    session.when_committed(lambda: bus.publish(Look(conversation_id)))


def set_status(session: Session, conversation: Conversation, status: str) -> None:
    """Change the status of a locked conversation.

    Raises:
        TransitionForbidden: it doesn't change so.
    """
    raise NotImplementedError


def mark_read(
    session: Session, conversation_id: str, tenant_id: str, side: Literal["contact", "staff"],
    seq: int,
) -> int:  # fmt: skip
    """Remember up to where a side has read, and have the others told.

    Args:
        seq: of the last message read; what lies beyond the end is taken for the end.

    Returns:
        up to where it has read now; it never goes back.

    Raises:
        ConversationNotFound: there is none.
    """
    raise NotImplementedError


def shown(session: Session, conversation: Conversation) -> dict[str, Any]:
    """A conversation on the wire, with its contact and its assignee."""
    raise NotImplementedError
