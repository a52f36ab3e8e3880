"""Heart-beats of agents."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.agents.models import agent_key
from maimconfig.db.base import MYSQL_TABLE, Base
from maimconfig.tenants.models import tenant_key


class AgentActivity(Base):
    """The last heart-beat of an agent, and until when it counts.

    Attributes:
        watched_until: as expires_at; None once webhooks were told that the agent is offline.
    """

    __tablename__ = "agent_activity"
    __table_args__ = (
        Index(None, "tenant_id", "expires_at"),
        Index(None, "watched_until"),
        MYSQL_TABLE,
    )

    agent_id: Mapped[str] = agent_key(primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    last_seen_at: Mapped[datetime] = mapped_column()
    expires_at: Mapped[datetime] = mapped_column()
    ttl_seconds: Mapped[int] = mapped_column()
    watched_until: Mapped[datetime | None] = mapped_column()
