"""Plugin settings of tenants and of agents."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Timestamped
from maimconfig.tenants.models import tenant_key


class PluginSetting(Timestamped, Base):
    """A plugin's setting of a tenant (its default) or of one of its agents.

    Attributes:
        scope_id: the agent's id when it has one, else the tenant's.
    """

    __tablename__ = "plugin_settings"
    __table_args__ = (Index(None, "tenant_id"), Index(None, "agent_id"), MYSQL_TABLE)

    scope_id: Mapped[str] = mapped_column(Id, primary_key=True)
    plugin_name: Mapped[str] = mapped_column(Name, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"))
    enabled: Mapped[bool] = mapped_column()
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
