"""Contacts: the people whom a tenant's agents talk with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned
from maimconfig.tenants.models import tenant_key

SEARCHED = ("external_id", "name", "email", "phone")


class Contact(Revisioned, Base):
    """Somebody who talks with a tenant's agents.

    Attributes:
        external_id: the caller's own id of it (`user_id` of a session).
        is_guest: nobody vouches for the external_id; it is never taken for the contact that a key
            or a login gave the same one.
        folded: external_id, name, email and phone as searches compare them.
        merged_into: the contact that took its conversations; None while it is one itself.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "is_guest", "external_id"),
        Index(None, "tenant_id", "merged_into", "created_at", "id", "is_guest"),
        Index(None, "merged_into", "created_at", "id", "tenant_id", "is_guest"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = tenant_key()
    external_id: Mapped[str] = mapped_column(Name)
    is_guest: Mapped[bool] = mapped_column(default=False)
    name: Mapped[str | None] = mapped_column(Name)
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(50))
    avatar_url: Mapped[str | None] = mapped_column(String(1000))
    folded: Mapped[str] = mapped_column(String(2000), default="")
    custom_attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    merged_into: Mapped[str | None] = mapped_column(Id)
    last_seen_at: Mapped[datetime | None] = mapped_column()

    @validates(*SEARCHED)
    def _fold(self, key: str, text: str | None) -> str | None:
        said = [text if name == key else getattr(self, name) for name in SEARCHED]
        self.folded = "\n".join(part for part in said if part).casefold()
        return text
