"""Tenants: the owners of everything else."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, validates

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned

TENANT_TYPES = ("personal", "enterprise")
TENANT_STATUSES = ("active", "inactive", "suspended")


class Tenant(Revisioned, Base):
    """A tenant.

    Attributes:
        folded_name: the name as searches compare it.
        agent_count, api_key_count: kept in the transactions that create and delete, so that a
            quota is judged and a list is counted without counting rows.
        permission_groups: name -> permissions that it stands for in the tenant's keys.
    """

    __tablename__ = "tenants"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "owner_id", "created_at", "id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_name: Mapped[str] = mapped_column(Name, unique=True)
    folded_name: Mapped[str] = mapped_column(String(300))
    tenant_type: Mapped[str] = mapped_column(String(20))
    description: Mapped[str | None] = mapped_column(Text)
    contact_email: Mapped[str | None] = mapped_column(String(254))
    tenant_config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    permission_groups: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[str] = mapped_column(String(20), default="active")
    owner_id: Mapped[str | None] = mapped_column(Id)
    agent_count: Mapped[int] = mapped_column(default=0)
    api_key_count: Mapped[int] = mapped_column(default=0)

    @validates("tenant_name")
    def _fold(self, _key: str, name: str) -> str:
        self.folded_name = name.casefold()
        return name


def tenant_key() -> Mapped[str]:
    """The column by which a row belongs to a tenant, and goes with it."""
    return mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), type_=Id)
