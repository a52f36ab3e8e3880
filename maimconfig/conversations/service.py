"""Conversations: begun, found, locked for a change, told about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import delete, func, select

from maimconfig import clock
from maimconfig.contacts.models import Contact
from maimconfig.conversations import announcing, messages, transitions
from maimconfig.conversations.models import Conversation, ConversationMessage, OwedReply
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.events import Look, Passing
from maimconfig.http.errors import ConversationNotFound
from maimconfig.i18n import Text
from maimconfig.tenants import service as tenants
from maimconfig.users.models import User
from maimconfig.webhooks.service import emit_many

CLOSED = Text("对话已关闭", "The conversation is closed")


def begin(session: Session, contact: Contact, agent_id: str, **given: Any) -> Conversation:
    """Begin a conversation of a contact with an agent of its tenant.

    Args:
        given: channel_type, current_agent_type, status.
    """
    conversation = Conversation(
        id=new_id("conv"),
        tenant_id=contact.tenant_id,
        agent_id=agent_id,
        contact_id=contact.id,
        last_activity_at=clock.now(),
        **given,
    )
    session.add(conversation)
    session.flush()
    return conversation


def get(
    session: Session, conversation_id: str, tenant_ids: Sequence[str] | None = None
) -> Conversation:
    """A conversation, to look at.

    Args:
        tenant_ids: whose it may be; None for any.

    Raises:
        ConversationNotFound: there is none.
    """
    conversation = session.get(Conversation, conversation_id)
    if conversation is None or _is_foreign(conversation.tenant_id, tenant_ids):
        raise ConversationNotFound
    return conversation


def locked(
    session: Session, conversation_id: str, tenant_ids: Sequence[str] | None = None
) -> Conversation:
    """A conversation that nobody else may touch until the end of the unit.

    Args:
        tenant_ids: whose it may be; None for any.

    Raises:
        ConversationNotFound: there is none.
    """
    owner = select(Conversation.tenant_id).where(Conversation.id == conversation_id)
    tenants.hold(session, owner.scalar_subquery())
    found = select(Conversation).where(Conversation.id == conversation_id).with_for_update()
    conversation = session.scalars(found.execution_options(populate_existing=True)).first()
    if conversation is None or _is_foreign(conversation.tenant_id, tenant_ids):
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
    """Change the status of a locked conversation; one that is resolved or closed owes no reply.

    Raises:
        TransitionForbidden: it doesn't change so.
    """
    if conversation.status == status:
        return
    before = announcing.standing(conversation)
    transitions.require(conversation.status, status)
    if status == "resolved" or (status == "closed" and conversation.resolved_at is None):
        conversation.resolved_at = clock.now()
    elif status != "closed":
        conversation.resolved_at = None
    conversation.status = status
    if status in ("resolved", "closed"):
        owe_nothing(session, conversation)
    touched(session, conversation)
    announcing.changed(session, conversation, before)


def owe_nothing(session: Session, conversation: Conversation) -> None:
    """Forget the replies that the AI owes in a locked conversation."""
    owed = delete(OwedReply).where(OwedReply.conversation_id == conversation.id)
    session.execute(owed, execution_options={"synchronize_session": False})


def add_system_message(
    session: Session, conversation: Conversation, content: str, details: dict[str, Any]
) -> ConversationMessage:
    """Say something to both sides of a locked conversation.

    Args:
        content: in Chinese; `details.en` has it in English.
    """
    message = ConversationMessage(
        id=new_id("msg"),
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        position=conversation.next_position,
        seq=conversation.next_seq,
        sender_type="system",
        content=content,
        message_type="system",
        details=details,
        is_private=False,
        state="complete",
        created_at=clock.now(),
    )
    session.add(message)
    said = announcing.said(conversation.tenant_id, messages.shown_row(message))
    emit_many(session, [said])
    conversation.next_position += 1
    conversation.next_seq += 1
    conversation.last_activity_at = message.created_at
    touched(session, conversation)
    return message


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
    conversation = locked(session, conversation_id, [tenant_id])
    column = f"{side}_read_seq"
    before: int = getattr(conversation, column)
    read = min(seq, conversation.next_seq - 1)
    if read <= before:
        return before
    setattr(conversation, column, read)
    setattr(conversation, f"unread_{side}", _unread(session, conversation, side, read))
    touched(session, conversation)
    bus = session.runtime.bus
    told = Passing(conversation_id, "read", {"side": side, "seq": read})
    session.when_committed(lambda: bus.publish(told))
    return read


def shown(session: Session, conversations: Sequence[Conversation]) -> list[dict[str, Any]]:
    """Conversations on the wire, with their contacts and assignees, in two queries."""
    contacts = _by_id(session, Contact, {one.contact_id for one in conversations})
    users = _by_id(session, User, {one.assignee_id for one in conversations if one.assignee_id})
    return [
        shown_with(one, contacts.get(one.contact_id), users.get(one.assignee_id or ""))
        for one in conversations
    ]


_SHOWN = (
    "id", "tenant_id", "agent_id", "contact_id", "channel_type", "status", "priority",
    "current_agent_type", "assignee_id", "handoff_reason", "unread_staff", "unread_contact",
    "contact_read_seq", "staff_read_seq", "tags", "satisfaction", "satisfaction_comment",
    "handled_by_ai", "handled_by_human", "revision",
)  # fmt: skip
_MOMENTS = ("first_reply_at", "last_activity_at", "handed_off_at", "resolved_at", "created_at",
            "updated_at")  # fmt: skip


def shown_with(one: Conversation, contact: Contact | None, assignee: User | None) -> dict[str, Any]:
    """A conversation on the wire, with a contact and an assignee that are at hand."""
    moments = {name: getattr(one, name) for name in _MOMENTS}
    return {
        **{name: getattr(one, name) for name in _SHOWN},
        **{name: clock.wire(at) if at is not None else None for name, at in moments.items()},
        "conversation_id": one.id,
        "agent_type": one.current_agent_type,
        "last_seq": one.next_seq - 1,
        "contact": contact
        and {name: getattr(contact, name) for name in ("id", "external_id", "name", "email",
                                                      "phone", "avatar_url", "is_guest")},
        "assignee": assignee
        and {"id": assignee.id, "username": assignee.username, "full_name": assignee.full_name},
    }  # fmt: skip


def _by_id(session: Session, model: Any, ids: set[str]) -> dict[str, Any]:
    if not ids:
        return {}
    return {row.id: row for row in session.scalars(select(model).where(model.id.in_(sorted(ids))))}


def _unread(session: Session, conversation: Conversation, side: str, read: int) -> int:
    by_contact = ConversationMessage.sender_type == "contact"
    to_contact = ConversationMessage.sender_type.in_(("agent", "ai"))
    counted = select(func.count()).where(
        ConversationMessage.conversation_id == conversation.id,
        ConversationMessage.seq > read,
        by_contact if side == "staff" else to_contact,
    )
    return session.scalar(counted) or 0


def _is_foreign(tenant_id: str, tenant_ids: Sequence[str] | None) -> bool:
    return tenant_ids is not None and tenant_id not in tenant_ids
