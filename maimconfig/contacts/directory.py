"""Contacts as staff keep them: list, search, create, change, merge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.contacts.models import Contact
from maimconfig.conversations.models import Conversation, ConversationMessage
from maimconfig.conversations.service import tell
from maimconfig.db import revisions
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import ContactNotFound, ContactTaken, Invalid, TenantNotFound
from maimconfig.http.pagination import Page, paginate
from maimconfig.i18n import Text
from maimconfig.sessions.models import ChatSession
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant
from maimconfig.users import presence
from maimconfig.users.login import Login

NOT_ITSELF = Text("不能与自身合并", "A contact isn't merged into itself")
MERGED = Text("已合并到另一联系人", "It is merged into another one already")
NOT_INTO_GUEST = Text(
    "不能合并到访客，请反向合并", "A known contact isn't merged into a guest; the reverse may be"
)

_UNSYNCHRONIZED: Any = {"synchronize_session": False}
_FILLED = ("name", "email", "phone", "avatar_url")


def find(
    session: Session,
    login: Login,
    *,
    page: int,
    page_size: int,
    q: str | None = None,
    **equal: Any,
) -> Page[Contact]:
    """Contacts of the tenants that a user serves, newest first; those that were merged are left
    out.

    Args:
        q: a part of the name, email, phone or external id, in any case.
        equal: tenant_id, is_guest.
    """
    rows = select(Contact.id).where(
        presence.visible(login, Contact.tenant_id), Contact.merged_into.is_(None)
    )
    for name, value in equal.items():
        if value is not None:
            rows = rows.where(getattr(Contact, name) == value)
    if q:
        rows = rows.where(func.instr(Contact.folded, q.casefold()) > 0)
    return paginate(session, Contact, rows, page=page, page_size=page_size)


def get(session: Session, login: Login, contact_id: str, *, lock: bool = False) -> Contact:
    """A contact that a user sees.

    Args:
        lock: nobody else may touch it until the end of the unit.

    Raises:
        ContactNotFound: there is none, or it is of a tenant that the user doesn't serve.
    """
    wanted = select(Contact).where(
        Contact.id == contact_id, presence.visible(login, Contact.tenant_id)
    )
    if lock:
        owner = select(Contact.tenant_id).where(Contact.id == contact_id)
        tenants.hold(session, owner.scalar_subquery())
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    contact = session.scalars(wanted).first()
    if contact is None:
        raise ContactNotFound
    return contact


def create(
    session: Session,
    login: Login,
    *,
    tenant_id: str,
    external_id: str | None = None,
    **given: Any,
) -> Contact:
    """Create a contact of a tenant that a user serves.

    Args:
        external_id: the caller's own id of it (`user_id` of a session); its own id when None.
        given: name, email, phone, avatar_url, custom_attributes; None counts as absent.

    Raises:
        TenantNotFound: there is no such tenant, or the user doesn't serve it.
        ContactTaken: the tenant has a contact of that external id.
    """
    served = select(Tenant.id).where(Tenant.id == tenant_id, presence.visible(login, Tenant.id))
    if session.scalar(served) is None:
        raise TenantNotFound
    contact_id = new_id("contact")
    present = {name: value for name, value in given.items() if value is not None}
    contact = Contact(
        id=contact_id, tenant_id=tenant_id, external_id=external_id or contact_id, **present
    )
    session.add(contact)
    try:
        session.flush()
    except IntegrityError as error:
        raise ContactTaken(internal=f"{external_id!r} is taken") from error
    audit.record(session, "contact.create", contact.id, tenant_id=tenant_id, after=shown(contact))
    return contact


def change(
    session: Session,
    login: Login,
    contact_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> Contact:
    """Change a contact.

    Args:
        changes: new values by field: name, email, phone, avatar_url, custom_attributes.
        expected: revisions that the caller allows.

    Raises:
        ContactNotFound: see `get`.
        PreconditionFailed: it isn't of an expected revision.
    """
    contact = get(session, login, contact_id, lock=True)
    revisions.require(contact.revision, expected)
    before = shown(contact)
    for field, value in changes.items():
        setattr(contact, field, value)
    if session.is_modified(contact):
        session.flush()
        audit.record(
            session, "contact.update", contact.id, tenant_id=contact.tenant_id,
            before=before, after=shown(contact),
        )  # fmt: skip
    return contact


def merge(session: Session, login: Login, contact_id: str, other_id: str) -> Contact:
    """Merge another contact into one: conversations and sessions go over, gaps are filled.

    Who comes with the other's external id from now on is this one. A guest's id is anybody's: it
    becomes free, and who comes with it is a new guest.

    Args:
        contact_id: the one that stays.
        other_id: the one that it takes over.

    Raises:
        ContactNotFound: one of them, see `get`; or they are of different tenants.
        Invalid: both are one, one of them was merged before, or a known one would become a guest.
    """
    if contact_id == other_id:
        raise Invalid(details={"contact_id": [NOT_ITSELF]})
    # In the order of their ids, so that two who merge them at once don't wait for each other.
    both = {one: get(session, login, one, lock=True) for one in sorted((contact_id, other_id))}
    kept, other = both[contact_id], both[other_id]
    if kept.tenant_id != other.tenant_id:
        raise ContactNotFound
    if kept.merged_into is not None or other.merged_into is not None:
        raise Invalid(details={"contact_id": [MERGED]})
    if kept.is_guest and not other.is_guest:
        raise Invalid(details={"contact_id": [NOT_INTO_GUEST]})
    before = shown(kept)
    _move(session, other.id, kept.id)
    _fill(kept, other)
    other.merged_into = kept.id
    if other.is_guest:
        other.external_id = other.id
    session.flush()
    audit.record(
        session, "contact.merge", kept.id, tenant_id=kept.tenant_id,
        before={**before, "merged": None}, after={**shown(kept), "merged": other.id},
    )  # fmt: skip
    return kept


def shown(contact: Contact) -> dict[str, Any]:
    """A contact as the audit log keeps it."""
    fields = ("external_id", "custom_attributes", *_FILLED)
    return {field: getattr(contact, field) for field in fields}


def _move(session: Session, source: str, target: str) -> None:
    of_it = Conversation.contact_id == source
    ids = session.scalars(
        select(Conversation.id).where(of_it).order_by(Conversation.id).with_for_update()
    ).all()
    for conversation_id in ids:
        # By sender and client_id a retry is known, which comes from the one that stays from now on.
        said = update(ConversationMessage).where(
            ConversationMessage.conversation_id == conversation_id,
            ConversationMessage.sender_id == source,
        )
        session.execute(said.values(sender_id=target), execution_options=_UNSYNCHRONIZED)
        tell(session, conversation_id)
    moved = {"contact_id": target, "revision": Conversation.revision + 1,
             "updated_at": clock.now()}  # fmt: skip
    for statement in (
        update(Conversation).where(of_it).values(moved),
        update(ChatSession).where(ChatSession.contact_id == source).values(contact_id=target),
        update(Contact).where(Contact.merged_into == source).values(merged_into=target),
    ):
        session.execute(statement, execution_options=_UNSYNCHRONIZED)


def _fill(kept: Contact, other: Contact) -> None:
    for name in _FILLED:
        if getattr(kept, name) is None:
            setattr(kept, name, getattr(other, name))
    kept.custom_attributes = {**other.custom_attributes, **kept.custom_attributes}
    seen = [moment for moment in (kept.last_seen_at, other.last_seen_at) if moment is not None]
    kept.last_seen_at = max(seen, default=None)
