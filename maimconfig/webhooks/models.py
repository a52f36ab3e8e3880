"""Webhooks, and what is to be delivered to them: outbox and log in one table."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy import Text as SqlText
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Revisioned
from maimconfig.db.types import LongText
from maimconfig.tenants.models import tenant_key

EVENTS = (
    "message.created",
    "conversation.status_changed",
    "conversation.assigned",
    "agent.online",
    "agent.offline",
    "quota.exceeded",
)
DELIVERY_STATUSES = ("pending", "delivered", "failed")
MAX_URL = 2000


class Webhook(Revisioned, Base):
    """An address of a tenant that is told of events.

    Attributes:
        events: which it is told of; empty is all.
        sealed_secret: by which deliveries are signed, encrypted.
        failing_since: when the first attempt failed after which none has succeeded.
        disabled_at: when it was switched off for failing; None when its owner did, or it is on.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "tenant_id", "created_at", "id"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    url: Mapped[str] = mapped_column(SqlText)
    events: Mapped[list[str]] = mapped_column(default=list)
    sealed_secret: Mapped[str] = mapped_column(SqlText)
    is_active: Mapped[bool] = mapped_column(default=True)
    failing_since: Mapped[datetime | None] = mapped_column()
    disabled_at: Mapped[datetime | None] = mapped_column()


class Delivery(Base):
    """An event on its way to a webhook, or what became of it.

    Whoever moves `due_at` of a pending one forward has it until then, so a sender that dies
    leaves it to another.

    Attributes:
        id: what its receiver gets as webhook-id, the same at each attempt.
        body: to the letter as it is signed and sent.
        attempts: that ended.
        due_at: of the next attempt, or when the sender that has it is taken for dead; None when
            it is settled.
        claim: of the sender that has it.
        response_status: of the last attempt's answer; None when there was none.
        error: why the last attempt failed, one of `attempt.FAILURES`; None when it didn't.
        duration_ms: of the last attempt.
        settled_at: when it was delivered or given up.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        # What is due is found, and endpoints at their limit are passed over, in the index alone.
        Index(None, "due_at", "webhook_id"),
        Index(None, "webhook_id", "created_at", "id"),
        Index(None, "webhook_id", "status", "created_at", "id"),
        Index(None, "webhook_id", "event", "created_at", "id"),
        Index(None, "tenant_id"),
        Index(None, "settled_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), type_=Id)
    event: Mapped[str] = mapped_column(String(50))
    body: Mapped[str] = mapped_column(LongText)
    status: Mapped[str] = mapped_column(String(10), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column()
    claim: Mapped[str | None] = mapped_column(Id)
    response_status: Mapped[int | None] = mapped_column()
    error: Mapped[str | None] = mapped_column(String(20))
    duration_ms: Mapped[int | None] = mapped_column()
    created_at: Mapped[datetime] = mapped_column()
    last_attempt_at: Mapped[datetime | None] = mapped_column()
    settled_at: Mapped[datetime | None] = mapped_column()
