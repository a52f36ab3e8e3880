"""Chat sessions: a contact's way into a conversation, for as long as it is there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.agents.models import agent_key
from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Timestamped
from maimconfig.tenants.models import tenant_key

SESSION_STATUSES = ("active", "idle", "expired", "closed")
OPEN_STATUSES = ("active", "idle")


class ChatSession(Timestamped, Base):
    """A contact's way into one conversation.

    Attributes:
        user_id: of the contact, as the caller gave it.
        created_by: the user whose login made it; None of a key or a guest.
        nonce: random; with the master secret it makes the session's token.
        status: active, idle after a while without a message, then expired; closed by hand.
        due_at: when the status is looked at next, not later than it is due; None when it is final.
            It isn't moved by each message, so that none of them costs a change of the index.
        revision: counts changes of status, metadata and context; it is the object's ETag.
    """

    __tablename__ = "chat_sessions"
    __table_args__ = (
        Index(None, "tenant_id", "created_at"),
        Index(None, "contact_id", "status"),
        Index(None, "due_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str] = agent_key(index=True)
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), type_=Id)
    conversation_id: Mapped[str] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), type_=Id, index=True
    )
    user_id: Mapped[str] = mapped_column(Name)
    created_by: Mapped[str | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), type_=Id, index=True
    )
    is_guest: Mapped[bool] = mapped_column(default=False)
    nonce: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(10), default="active")
    # SQLAlchemy keeps the name `metadata` of a model for itself.
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    context: Mapped[dict[str, Any]] = mapped_column(default=dict)
    last_activity_at: Mapped[datetime] = mapped_column()
    due_at: Mapped[datetime | None] = mapped_column()
    revision: Mapped[int] = mapped_column(default=1)
