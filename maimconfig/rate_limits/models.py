"""Rate windows: how much of a limit is used up."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base


class RateWindow(Base):
    """The current window of one limit.

    Attributes:
        subject: what is limited, such as `key:key_0199…`.
        started_at: when its first request came.
        used: how many came since.
    """

    __tablename__ = "rate_windows"
    __table_args__ = (Index(None, "started_at"), MYSQL_TABLE)

    subject: Mapped[str] = mapped_column(String(190), primary_key=True)
    started_at: Mapped[datetime] = mapped_column()
    used: Mapped[int] = mapped_column()
