"""Users and their login sessions."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name, Revisioned
from maimconfig.users.roles import permissions_of

USER_STATUSES = ("active", "suspended")


def folded(name: str) -> str:
    """A name as it is compared: by NFKC, in which full-width letters are plain ones, without case.

    Case folding can undo the normalization, so it is done again (Unicode 15, section 3.13, D146).
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class User(Revisioned, Base):
    """Somebody who logs in.

    Attributes:
        folded_username, folded_email: as they must be unique.
        serves_all_tenants: whether, as staff, all tenants are the user's concern; else those of
            `StaffTenant`.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "role", "status"),
        Index(None, "last_login_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    username: Mapped[str] = mapped_column(Name)
    folded_username: Mapped[str] = mapped_column(String(300), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    folded_email: Mapped[str | None] = mapped_column(String(300), unique=True)
    full_name: Mapped[str | None] = mapped_column(Name)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20), default="user")
    status: Mapped[str] = mapped_column(String(20), default="active")
    last_login_at: Mapped[datetime | None] = mapped_column()
    serves_all_tenants: Mapped[bool] = mapped_column(default=True)

    served: Mapped[list[StaffTenant]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="StaffTenant.tenant_id"
    )

    @property
    def tenant_ids(self) -> list[str] | None:
        """The tenants that the user serves as staff; None for all."""
        return None if self.serves_all_tenants else [row.tenant_id for row in self.served]

    @property
    def is_active(self) -> bool:
        """Whether the user may do anything."""
        return self.status == "active"

    @property
    def permissions(self) -> list[str]:
        """What the user's role may do."""
        return list(permissions_of(self.role))

    @validates("username")
    def _fold_username(self, _key: str, name: str) -> str:
        self.folded_username = folded(name)
        return name

    @validates("email")
    def _fold_email(self, _key: str, email: str | None) -> str | None:
        self.folded_email = folded(email) if email else None
        return email or None


class LoginSession(Base):
    """A login: the family of refresh tokens that came from it.

    Attributes:
        nonce: random; with the master secret it makes the refresh tokens, so neither a copy of
            the database nor the secret alone can.
        generation: of the one refresh token that is good now.
        rotated_at: when that one was made.
        ended_at: when the session was ended; None while it lives.
    """

    __tablename__ = "login_sessions"
    __table_args__ = (
        Index(None, "user_id", "ended_at", "expires_at"),
        Index(None, "expires_at", "ended_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    nonce: Mapped[str] = mapped_column(String(64))
    generation: Mapped[int] = mapped_column(default=1)
    rotated_at: Mapped[datetime] = mapped_column()
    created_at: Mapped[datetime] = mapped_column()
    expires_at: Mapped[datetime] = mapped_column()
    ended_at: Mapped[datetime | None] = mapped_column()
    address: Mapped[str | None] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(200))


class StaffTenant(Base):
    """A tenant whose conversations a restricted user sees."""

    __tablename__ = "staff_tenants"
    __table_args__ = (Index(None, "tenant_id"), MYSQL_TABLE)

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )
    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )


class StaffPresence(Base):
    """When a user was last seen at work, for handing conversations to who is there."""

    __tablename__ = "staff_presence"
    __table_args__ = MYSQL_TABLE

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )
    seen_at: Mapped[datetime] = mapped_column()
