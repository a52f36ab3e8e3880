"""Conversations, their messages, and the replies that are owed in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.agents.models import agent_key
from maimconfig.db.base import MYSQL_TABLE, Base, Id, Timestamped
from maimconfig.db.types import LongText
from maimconfig.tenants.models import tenant_key

PRIORITIES = ("low", "medium", "high", "urgent")
CHANNELS = ("web_widget", "facebook", "whatsapp", "email", "api", "qq", "telegram", "discord")
AGENT_TYPES = ("ai", "human")
SENDER_TYPES = ("contact", "agent", "ai", "system")
MESSAGE_TYPES = ("text", "image", "file", "audio", "video", "system", "event")
CLIENT_ID_LENGTH = 100


class Conversation(Timestamped, Base):
    """What a contact and an agent, or the people behind it, say to each other.

    Change it only in a unit that has locked it (`service.locked`), and tell so
    (`service.touched`).

    Attributes:
        current_agent_type: who answers, `ai` or `human`.
        assignee_id: the user who has it; None while it waits, and while the AI has it.
        next_seq: of the next message that the contact sees.
        next_position: of the next message, private notes included.
        unread_staff: messages of the contact that no person has read.
        unread_contact: messages to the contact that it hasn't read.
        contact_read_seq, staff_read_seq: up to which seq each side has read.
        handled_by_ai, handled_by_human: who has replied in it.
        revision: counts every change that listeners are told of; it is the object's ETag.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index(None, "tenant_id", "created_at"),
        Index(None, "tenant_id", "last_activity_at", "id"),
        Index(None, "last_activity_at", "id"),
        Index(None, "assignee_id", "status"),
        Index(None, "status", "tenant_id", "current_agent_type", "assignee_id"),
        Index(None, "created_at"),
        Index(None, "resolved_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str] = agent_key(index=True)
    contact_id: Mapped[str] = mapped_column(
        ForeignKey("contacts.id", ondelete="CASCADE"), type_=Id, index=True
    )
    channel_type: Mapped[str] = mapped_column(String(20), default="web_widget")
    status: Mapped[str] = mapped_column(String(20), default="open")
    priority: Mapped[str] = mapped_column(String(20), default="medium")
    current_agent_type: Mapped[str] = mapped_column(String(10), default="ai")
    assignee_id: Mapped[str | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), type_=Id
    )
    next_seq: Mapped[int] = mapped_column(BigInteger, default=1)
    next_position: Mapped[int] = mapped_column(BigInteger, default=1)
    first_reply_at: Mapped[datetime | None] = mapped_column()
    last_activity_at: Mapped[datetime] = mapped_column()
    handed_off_at: Mapped[datetime | None] = mapped_column()
    handoff_reason: Mapped[str | None] = mapped_column(String(200))
    resolved_at: Mapped[datetime | None] = mapped_column()
    unread_staff: Mapped[int] = mapped_column(BigInteger, default=0)
    unread_contact: Mapped[int] = mapped_column(BigInteger, default=0)
    contact_read_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    staff_read_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    tags: Mapped[list[str]] = mapped_column(default=list)
    satisfaction: Mapped[int | None] = mapped_column()
    satisfaction_comment: Mapped[str | None] = mapped_column(String(2000))
    handled_by_ai: Mapped[bool] = mapped_column(default=False)
    handled_by_human: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(BigInteger, default=1)


class ConversationMessage(Base):
    """A message of a conversation; it is never changed but for its rating.

    Its keys lead with the conversation, which is of one tenant: with the tenant in front each
    message would cost one index more.

    Attributes:
        position: 1, 2, 3 … over all messages.
        seq: 1, 2, 3 … over those that the contact sees; None of a private note.
        sender_id: the contact's, the user's or the agent's id; None of the system.
        client_id: the sender's own id of it, which makes a retry harmless.
        reply_to: the message that it answers.
        state: complete; partial of a reply that broke.
        rating: 1 to 5, as the contact rated it.
    """

    __tablename__ = "conversation_messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position"),
        UniqueConstraint("conversation_id", "seq"),
        UniqueConstraint("conversation_id", "sender_id", "client_id"),
        Index(None, "tenant_id", "created_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    conversation_id: Mapped[str] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), type_=Id
    )
    position: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[str | None] = mapped_column(Id)
    sender_type: Mapped[str] = mapped_column(String(10))
    sender_id: Mapped[str | None] = mapped_column(Id)
    content: Mapped[str] = mapped_column(LongText)
    message_type: Mapped[str] = mapped_column(String(10), default="text")
    # SQLAlchemy keeps the name `metadata` of a model for itself.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    is_private: Mapped[bool] = mapped_column(default=False)
    client_id: Mapped[str | None] = mapped_column(String(CLIENT_ID_LENGTH))
    reply_to: Mapped[str | None] = mapped_column(Id)
    state: Mapped[str] = mapped_column(String(10), default="complete")
    rating: Mapped[int | None] = mapped_column()
    rating_comment: Mapped[str | None] = mapped_column(String(2000))
    created_at: Mapped[datetime] = mapped_column()


class OwedReply(Base):
    """A reply that the AI owes to a contact's message, until it is stored or a person takes over.

    Attributes:
        position: of the message; of a conversation's replies the first is made first.
        lease_owner: the process that makes it.
        leased_until: when another process may take it; from the beginning while nobody has it.
        attempts: how often it was begun.
    """

    __tablename__ = "owed_replies"
    __table_args__ = (
        Index(None, "leased_until"),
        UniqueConstraint("conversation_id", "position"),
        Index(None, "tenant_id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    conversation_id: Mapped[str] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), type_=Id
    )
    message_id: Mapped[str] = mapped_column(Id, unique=True)
    session_id: Mapped[str | None] = mapped_column(Id)
    position: Mapped[int] = mapped_column(BigInteger)
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    leased_until: Mapped[datetime] = mapped_column()
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column()
