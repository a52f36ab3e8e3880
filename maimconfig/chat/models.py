"""Chat streams, their messages, the replies that are owed, and what a month has used."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.agents.models import agent_key
from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name
from maimconfig.db.types import LongText, Money
from maimconfig.tenants.models import tenant_key

PLATFORM_LENGTH = 50
IDENTIFIER_LENGTH = 200

Identifier = String(IDENTIFIER_LENGTH)


class ChatStream(Base):
    """One conversation of an agent on a platform; nothing crosses from one to another.

    Attributes:
        next_seq: of the next message; they are counted 1, 2, 3 … without gaps.
    """

    __tablename__ = "chat_streams"
    __table_args__ = (
        UniqueConstraint("tenant_id", "agent_id", "platform", "chat_identifier"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str] = agent_key(index=True)
    platform: Mapped[str] = mapped_column(String(PLATFORM_LENGTH))
    chat_identifier: Mapped[str] = mapped_column(Identifier)
    next_seq: Mapped[int] = mapped_column(BigInteger, default=1)
    created_at: Mapped[datetime] = mapped_column()


class ChatMessage(Base):
    """A message of a user, or an agent's reply to one.

    Attributes:
        role: user or assistant.
        message_id: the caller's own name of it, which makes a retry harmless.
        reply_to: the user's message that a reply answers.
        state: of a user's message: pending while it is answered, complete once it is, failed when
            it wasn't; of a reply: complete, or partial when it broke or its reader left.
        model, tokens_in, tokens_out, cost, estimated: of a reply, as its usage row has them.
    """

    __tablename__ = "chat_messages"
    __table_args__ = (
        UniqueConstraint("tenant_id", "stream_id", "seq"),
        UniqueConstraint("tenant_id", "stream_id", "message_id"),
        Index(None, "tenant_id", "created_at"),
        Index(None, "created_at"),
        Index(None, "stream_id"),
        Index(None, "reply_to"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    stream_id: Mapped[str] = mapped_column(
        ForeignKey("chat_streams.id", ondelete="CASCADE"), type_=Id
    )
    seq: Mapped[int] = mapped_column(BigInteger)
    role: Mapped[str] = mapped_column(String(10))
    content: Mapped[str] = mapped_column(LongText)
    user_id: Mapped[str | None] = mapped_column(Name)
    message_id: Mapped[str | None] = mapped_column(Identifier)
    reply_to: Mapped[str | None] = mapped_column(Id)
    state: Mapped[str] = mapped_column(String(10))
    model: Mapped[str | None] = mapped_column(Name)
    tokens_in: Mapped[int] = mapped_column(BigInteger, default=0)
    tokens_out: Mapped[int] = mapped_column(BigInteger, default=0)
    cost: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    estimated: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column()


class PendingReply(Base):
    """A reply that a process is making, with what is reserved for it.

    Its row is deleted in the transaction that writes the usage row, and by nobody else: whoever
    deletes it settles. It outlives its agent and its stream, for what they used is billed.

    Attributes:
        id: of the usage row to be.
        reply_id: of the reply to be.
        stream_id, message_id: what is answered; None when nothing of it is kept.
        month: whose quota it is reserved from, such as `2026-11`.
        tokens, cost: what is reserved.
        expires_at: from then on its process is taken for dead.
    """

    __tablename__ = "chat_pending_replies"
    __table_args__ = (Index(None, "tenant_id"), Index(None, "expires_at"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str] = mapped_column(Id)
    api_key_id: Mapped[str | None] = mapped_column(Id)
    user_id: Mapped[str | None] = mapped_column(Name)
    request_id: Mapped[str | None] = mapped_column(String(64))
    reply_id: Mapped[str] = mapped_column(Id)
    stream_id: Mapped[str | None] = mapped_column(Id)
    message_id: Mapped[str | None] = mapped_column(Id)
    month: Mapped[str] = mapped_column(String(7))
    tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Money)
    started_at: Mapped[datetime] = mapped_column()
    expires_at: Mapped[datetime] = mapped_column()


class MonthlyUse(Base):
    """What the chats of a tenant have used in a month (UTC), reservations included.

    Attributes:
        tokens_exceeded_at, cost_exceeded_at: when a chat was first refused for its quota, which
            webhooks were told of then.
    """

    __tablename__ = "chat_monthly_use"
    __table_args__ = MYSQL_TABLE

    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    tokens_exceeded_at: Mapped[datetime | None] = mapped_column()
    cost_exceeded_at: Mapped[datetime | None] = mapped_column()
