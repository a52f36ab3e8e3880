"""The audit log: who changed what, kept in the transaction of the change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base, Id
from maimconfig.db.types import JsonText


class AuditLog(Base):
    """One change. It has no foreign keys: it outlives what it tells of."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "resource_id", "created_at", "id"),
        Index(None, "actor", "created_at", "id"),
        Index(None, "resource_type", "created_at", "id"),
        Index(None, "tenant_id", "resource_type", "created_at", "id"),
        Index(None, "tenant_id", "actor", "created_at", "id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(Id)
    actor: Mapped[str] = mapped_column(Id)
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    resource_type: Mapped[str] = mapped_column(String(32))
    resource_id: Mapped[str] = mapped_column(String(160))
    before: Mapped[Any | None] = mapped_column(JsonText)
    after: Mapped[Any | None] = mapped_column(JsonText)
    created_at: Mapped[datetime] = mapped_column()
