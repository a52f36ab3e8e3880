"""Staff: which tenants they serve, and whether they are there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import aliased

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.users.models import StaffPresence, StaffTenant, User

# Seen within this time a user counts as being there.
ONLINE = timedelta(seconds=60)


def serves(user_id: Any, tenant_id: Any) -> ColumnElement[bool]:
    """The condition that a user serves a tenant.

    Args:
        user_id, tenant_id: values, or columns of the query that it is for.
    """
    staff = aliased(User)  # the query that it is for may be one of users
    everywhere = exists().where(staff.id == user_id, staff.serves_all_tenants)
    listed = exists().where(StaffTenant.user_id == user_id, StaffTenant.tenant_id == tenant_id)
    return or_(everywhere, listed)


def tenants_of(session: Session, user_id: str) -> list[str] | None:
    """The tenants whose conversations a user sees; None for all."""
    user = session.get(User, user_id)
    if user is None:
        return []
    if user.serves_all_tenants:
        return None
    found = select(StaffTenant.tenant_id).where(StaffTenant.user_id == user_id)
    return list(session.scalars(found.order_by(StaffTenant.tenant_id)))


def note_seen(session: Session, user_id: str) -> None:
    """Remember that a user is there now; one call in 20 s is enough."""
    seen = {"user_id": user_id, "seen_at": clock.now()}
    insert: Any
    if session.runtime.database.is_sqlite:
        insert = sqlite.insert(StaffPresence).values(seen)
        insert = insert.on_conflict_do_update(index_elements=["user_id"], set_=seen)
    else:
        insert = mysql.insert(StaffPresence).values(seen).on_duplicate_key_update(seen)
    session.execute(insert)
