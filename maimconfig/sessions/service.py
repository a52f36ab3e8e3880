"""Chat sessions: begun and shown; see `changes` for what becomes of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from maimconfig import clock
from maimconfig.agents import service as agents
from maimconfig.contacts import service as contacts
from maimconfig.contacts.models import Contact
from maimconfig.conversations import handoff
from maimconfig.conversations import service as conversations
from maimconfig.conversations.models import Conversation
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    AgentNotActive,
    ChatSessionNotFound,
    ConversationNotFound,
    TenantNotActive,
    TooManySessions,
    TransitionForbidden,
)
from maimconfig.sessions.models import OPEN_STATUSES, ChatSession
from maimconfig.tenants import service as tenants


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session that is wanted.

    Attributes:
        user_id: the caller's own id of the contact.
        guest: nobody vouches for user_id.
        created_by: the user whose login asks.
        conversation_id: an earlier one of this contact and agent, to go on with.
    """

    tenant_id: str
    agent_id: str
    user_id: str
    guest: bool
    created_by: str | None = None
    agent_type: str = "ai"
    channel_type: str = "web_widget"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    conversation_id: str | None = None


def begin(session: Session, wanted: Wanted) -> ChatSession:
    """Begin a session, in a conversation of its own unless one is named.

    Raises:
        TenantNotFound, AgentNotFound, TenantNotActive, AgentNotActive: there is nobody to ask.
        TooManySessions: the user has as many open ones as it may.
        ConversationNotFound: the named one isn't this contact's and agent's, or a guest named it.
        TransitionForbidden: the named one is closed.
    """
    tenant = tenants.get(session, wanted.tenant_id, hold=True)
    agent = agents.get(session, wanted.agent_id, tenant_id=tenant.id)
    if tenant.status != "active":
        raise TenantNotActive
    if agent.status != "active":
        raise AgentNotActive
    contact = contacts.find_or_make(session, tenant.id, wanted.user_id, guest=wanted.guest)
    _require_room(session, contact)
    conversation = _conversation(session, wanted, contact)
    now = clock.now()
    chat = ChatSession(
        id=new_id("sess"),
        tenant_id=tenant.id,
        agent_id=agent.id,
        contact_id=contact.id,
        conversation_id=conversation.id,
        user_id=wanted.user_id,
        created_by=wanted.created_by,
        is_guest=wanted.guest,
        nonce=secrets.token_hex(32),
        details=dict(wanted.metadata),
        context=dict(wanted.context),
        last_activity_at=now,
        due_at=now + idle_after(session),
    )
    session.add(chat)
    session.flush()
    return chat


def get(session: Session, session_id: str) -> tuple[ChatSession, Conversation]:
    """A session and its conversation; whether the caller may see it is asked elsewhere.

    Raises:
        ChatSessionNotFound: there is none.
    """
    found = session.execute(
        select(ChatSession, Conversation)
        .join(Conversation, Conversation.id == ChatSession.conversation_id)
        .where(ChatSession.id == session_id)
    ).first()
    if found is None:
        raise ChatSessionNotFound
    return found[0], found[1]


def shown(session: Session, chat: ChatSession, conversation: Conversation) -> dict[str, Any]:
    """A session on the wire (contract, Chat)."""
    ended = chat.status in ("expired", "closed")
    expires_at = chat.updated_at if ended else chat.last_activity_at + expires_after(session)
    return {
        "id": chat.id,
        "session_id": chat.id,
        "tenant_id": chat.tenant_id,
        "agent_id": chat.agent_id,
        "user_id": chat.user_id,
        "conversation_id": chat.conversation_id,
        "agent_type": conversation.current_agent_type,
        "conversation_status": conversation.status,
        "assignee_id": conversation.assignee_id,
        "status": chat.status,
        "is_guest": chat.is_guest,
        "context": chat.context,
        "metadata": chat.details,
        "created_at": clock.wire(chat.created_at),
        "updated_at": clock.wire(chat.updated_at),
        "last_activity_at": clock.wire(chat.last_activity_at),
        "expires_at": clock.wire(expires_at),
    }


def idle_after(session: Session) -> timedelta:
    """How long a session is active without a message."""
    return timedelta(minutes=session.runtime.settings.session_idle_minutes)


def expires_after(session: Session) -> timedelta:
    """How long a session lives without a message."""
    return timedelta(minutes=session.runtime.settings.session_expire_minutes)


def is_open(chat: ChatSession, now: datetime, lives: timedelta) -> bool:
    """Whether a session may still be used, though nobody has ended it on time."""
    return chat.status in OPEN_STATUSES and chat.last_activity_at + lives > now


def _require_room(session: Session, contact: Contact) -> None:
    # The contact is locked: of two at once only one gets the last place.
    alive = ChatSession.last_activity_at > clock.now() - expires_after(session)
    counted = select(func.count()).where(
        ChatSession.contact_id == contact.id, ChatSession.status.in_(OPEN_STATUSES), alive
    )
    most = session.runtime.settings.sessions_per_user
    if (session.scalar(counted) or 0) >= most:
        raise TooManySessions(internal=f"{most} are open")


def _conversation(session: Session, wanted: Wanted, contact: Contact) -> Conversation:
    if wanted.conversation_id is not None:
        return _earlier(session, wanted, contact)
    conversation = conversations.begin(
        session, contact, wanted.agent_id, channel_type=wanted.channel_type
    )
    if wanted.agent_type == "human":
        handoff.to_person(session, conversation, "requested")
    return conversation


def _earlier(session: Session, wanted: Wanted, contact: Contact) -> Conversation:
    conversation = conversations.locked(session, wanted.conversation_id or "", [wanted.tenant_id])
    whose = (conversation.agent_id, conversation.contact_id)
    if wanted.guest or whose != (wanted.agent_id, contact.id):
        raise ConversationNotFound
    if conversation.status == "closed":
        raise TransitionForbidden(conversations.CLOSED)
    return conversation
