"""Agents, their tags and every revision of their configuration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned
from maimconfig.tenants.models import tenant_key

AGENT_STATUSES = ("active", "inactive", "archived")
MAX_TAG_LENGTH = 50


def agent_key(**options: Any) -> Mapped[str]:
    """The column by which a row belongs to an agent, and goes with it."""
    return mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), type_=Id, **options)


class Agent(Revisioned, Base):
    """An agent of a tenant.

    Attributes:
        folded_name: the name as searches compare it.
        template_id: set to NULL by the database only while a whole tenant is deleted.
        config: the agent's own layer, with its secrets sealed.
        config_version: the number of its newest `AgentConfigVersion`.
    """

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index(None, "tenant_id", "created_at", "id", "folded_name"),
        Index(None, "tenant_id", "status", "created_at", "id"),
        Index(None, "status"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    name: Mapped[str] = mapped_column(Name)
    folded_name: Mapped[str] = mapped_column(String(300))
    description: Mapped[str | None] = mapped_column(Text)
    template_id: Mapped[str | None] = mapped_column(
        ForeignKey("agent_templates.id", ondelete="SET NULL"), index=True
    )
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[list[str]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(20), default="active")
    config_version: Mapped[int] = mapped_column(default=1)

    @validates("name")
    def _fold(self, _key: str, name: str) -> str:
        self.folded_name = name.casefold()
        return name


class AgentTag(Base):
    """A tag of an agent, for looking agents up by tag; `Agent.tags` keeps the order."""

    __tablename__ = "agent_tags"
    __table_args__ = (Index(None, "tenant_id", "tag", "agent_id"), MYSQL_TABLE)

    agent_id: Mapped[str] = agent_key(primary_key=True)
    tag: Mapped[str] = mapped_column(String(MAX_TAG_LENGTH), primary_key=True)
    tenant_id: Mapped[str] = tenant_key()


class AgentConfigVersion(Base):
    """A saved revision of an agent's configuration.

    Attributes:
        action: create, update, replace or rollback.
        actor: who saved it.
        changes: what differs from the revision before, secrets masked.
    """

    __tablename__ = "agent_config_versions"
    __table_args__ = (Index(None, "tenant_id"), MYSQL_TABLE)

    agent_id: Mapped[str] = agent_key(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = tenant_key()
    action: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(Id)
    changes: Mapped[list[Any]] = mapped_column()
    config: Mapped[dict[str, Any]] = mapped_column()
    created_at: Mapped[datetime] = mapped_column()
