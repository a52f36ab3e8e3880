"""Contacts: found or made when somebody begins to talk."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.contacts.models import Contact
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session


def find_or_make(session: Session, tenant_id: str, external_id: str, *, guest: bool) -> Contact:
    """A tenant's contact, which nobody else may touch until the end of the unit.

    Args:
        external_id: the caller's own id of it.
        guest: nobody vouches for that id; a guest is never taken for somebody who was vouched for.

    Returns:
        the contact, or the one that it was merged into.
    """
    wanted = select(Contact).where(
        Contact.tenant_id == tenant_id,
        Contact.is_guest == guest,
        Contact.external_id == external_id,
    )
    contact = session.scalars(wanted.with_for_update()).first()
    if contact is None:
        _make(session, tenant_id, external_id, guest)
        contact = session.scalars(wanted.with_for_update()).one()
    while contact.merged_into is not None:
        contact = session.get_one(Contact, contact.merged_into, with_for_update=True)
    contact.last_seen_at = clock.now()
    return contact


def _make(session: Session, tenant_id: str, external_id: str, guest: bool) -> None:
    fresh = {
        "id": new_id("contact"),
        "tenant_id": tenant_id,
        "external_id": external_id,
        "is_guest": guest,
        "folded": external_id.casefold(),
        "custom_attributes": {},
        "revision": 1,
        "created_at": clock.now(),
        "updated_at": clock.now(),
    }
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(Contact).values(fresh).on_conflict_do_nothing())
    else:
        # INSERT IGNORE would take a shared lock on a row that is there, and two of them deadlock.
        same = mysql.insert(Contact).values(fresh)
        session.execute(same.on_duplicate_key_update(tenant_id=Contact.tenant_id))
