"""Staff: which tenants they serve, and whether they are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import aliased, selectinload
from sqlalchemy.orm.attributes import flag_modified

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.tenants import service as tenants
from maimconfig.users.login import Login
from maimconfig.users.models import StaffPresence, StaffTenant, User

# Seen within this time a user counts as being there.
ONLINE = timedelta(seconds=60)


def is_online(seen_at: Any) -> ColumnElement[bool]:
    """The condition that somebody who was seen at this moment is there now."""
    now = clock.now()
    return and_(seen_at > now - ONLINE, seen_at <= now + clock.AHEAD)


def serves(user_id: Any, tenant_id: Any) -> ColumnElement[bool]:
    """The condition that a user serves a tenant.

    Args:
        user_id, tenant_id: values, or columns of the query that it is for.
    """
    # Under a name of its own, or a query of users would find everybody in here.
    everybody = aliased(User)
    everywhere = exists().where(everybody.id == user_id, everybody.serves_all_tenants)
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


def visible(login: Login, tenant_id: Any) -> ColumnElement[bool]:
    """The condition that a login's user sees what belongs to a tenant; made without a query.

    Args:
        tenant_id: a column of the query that it is for.
    """
    if login.serves_all_tenants:
        return true()
    served = select(StaffTenant.tenant_id).where(StaffTenant.user_id == login.user_id)
    condition: ColumnElement[bool] = tenant_id.in_(served)
    return condition


def set_tenants(session: Session, user: User, tenant_ids: Collection[str] | None) -> None:
    """Say which tenants a user serves, from the next request on.

    Args:
        tenant_ids: None for all.

    Raises:
        TenantNotFound: one of them isn't there.
    """
    wanted = None if tenant_ids is None else sorted(set(tenant_ids))
    if wanted == user.tenant_ids:
        return
    for tenant_id in wanted or ():
        tenants.get(session, tenant_id, hold=True)
    user.serves_all_tenants = wanted is None
    known = {row.tenant_id: row for row in user.served}
    user.served = [
        known.get(tenant_id) or StaffTenant(user_id=user.id, tenant_id=tenant_id)
        for tenant_id in wanted or ()
    ]
    # A list alone that changes would leave the user's revision as it was.
    flag_modified(user, "serves_all_tenants")


def load_tenants(session: Session, users: Sequence[User]) -> None:
    """Read which tenants users serve, in one query for all of them."""
    restricted = [user.id for user in users if not user.serves_all_tenants]
    if restricted:
        served = select(User).where(User.id.in_(restricted)).options(selectinload(User.served))
        session.scalars(served).all()


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
