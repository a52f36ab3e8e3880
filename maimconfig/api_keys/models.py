"""API keys and their secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.agents.models import agent_key
from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned
from maimconfig.db.types import JsonText
from maimconfig.tenants.models import tenant_key


class ApiKey(Revisioned, Base):
    """A key of an agent.

    Attributes:
        status: active or disabled; expired is a fact of the clock and not stored.
        sealed_secret: the full key, encrypted, so that it can be shown again.
        rate_limit: {limit, window_seconds} or None.
        allowed_ips: addresses and networks that may use the key; empty is any.
        usage_count, last_used_at: follow the checks within a second.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "status", "expires_at"),
        Index(None, "tenant_id", "agent_id", "created_at", "id"),
        Index(None, "agent_id"),
        Index(None, "status"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str] = agent_key()
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)
    sealed_secret: Mapped[str] = mapped_column(Text)
    permissions: Mapped[list[str]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(20), default="active")
    disabled_at: Mapped[datetime | None] = mapped_column()
    expires_at: Mapped[datetime | None] = mapped_column()
    rate_limit: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    allowed_ips: Mapped[list[str]] = mapped_column(default=list)
    usage_count: Mapped[int] = mapped_column(BigInteger, default=0)
    last_used_at: Mapped[datetime | None] = mapped_column()


class ApiKeySecret(Base):
    """A hash by which a key is found; while a rotation's grace lasts a key has several.

    Attributes:
        retires_at: from when on it finds nothing; None for the current one.
    """

    __tablename__ = "api_key_secrets"
    __table_args__ = (Index(None, "api_key_id"), Index(None, "retires_at"), MYSQL_TABLE)

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    sealed_secret: Mapped[str] = mapped_column(Text)
    retires_at: Mapped[datetime | None] = mapped_column()
