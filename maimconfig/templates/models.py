"""Agent templates: the middle layer of a configuration."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned


class AgentTemplate(Revisioned, Base):
    """A template of one tenant, or of all.

    Attributes:
        scope: the tenant's id or the empty text, since NULLs are never equal to a constraint.
        config: with its secrets sealed.
    """

    __tablename__ = "agent_templates"
    __table_args__ = (
        UniqueConstraint("scope", "name"),
        Index(None, "scope", "created_at", "id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    scope: Mapped[str] = mapped_column(Id, default="")
    name: Mapped[str] = mapped_column(Name)
    description: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(String(50))
    tags: Mapped[list[str]] = mapped_column(default=list)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    is_builtin: Mapped[bool] = mapped_column(default=False)

    @validates("tenant_id")
    def _scope(self, _key: str, tenant_id: str | None) -> str | None:
        self.scope = tenant_id or ""
        return tenant_id
