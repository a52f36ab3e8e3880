"""Users: register, prove who they are, change, keep an administrator."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.db import leases, revisions
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import LastAdmin, UserNotFound, UserTaken
from maimconfig.http.pagination import Page, paginate
from maimconfig.tenants import service as tenants
from maimconfig.users import presence, sessions
from maimconfig.users.models import User, folded


def create(
    session: Session,
    *,
    username: str,
    password_hash: str,
    email: str | None = None,
    full_name: str | None = None,
    role: str = "user",
    tenant_ids: Sequence[str] | None = None,
    id: str | None = None,
    personal_tenant: bool = True,
) -> User:
    """Create a user, and a personal tenant of its own, in one transaction.

    Args:
        id: of a user that moves here, which no other has; a fresh one when None.
        personal_tenant: False for one whose tenants move too.
        password_hash: made beforehand, since no transaction should wait for argon2.
        tenant_ids: the tenants that the user serves as staff; None for all.

    Raises:
        TenantNotFound: one of the tenants isn't there.
        UserTaken: the username or the email is somebody's, whatever its case or width.
    """
    user = User(
        id=id or new_id("user"),
        username=username,
        email=email,
        full_name=full_name,
        password_hash=password_hash,
        role=role,
        status="active",
    )
    session.add(user)
    _flush(session)
    _require_own_names(session, user)
    presence.set_tenants(session, user, tenant_ids)
    audit.record(session, "user.create", user.id, tenant_id=None, after=shown(user))
    if personal_tenant:
        give_personal_tenant(session, user)
    return user


def by_login(session: Session, name: str) -> User | None:
    """The user of a username or an email; None when there is none."""
    wanted = folded(name)
    return session.scalars(
        select(User)
        .where(or_(User.folded_username == wanted, User.folded_email == wanted))
        .order_by(User.folded_username != wanted)
        .limit(1)
    ).first()


def get(session: Session, user_id: str, *, lock: bool = False) -> User:
    """A user by id.

    Raises:
        UserNotFound: there is none.
    """
    user = session.get(User, user_id, with_for_update=lock or None)
    if user is None:
        raise UserNotFound
    return user


def find(
    session: Session,
    *,
    page: int,
    page_size: int,
    role: str | None = None,
    status: str | None = None,
    q: str | None = None,
) -> Page[User]:
    """Users, newest first.

    Args:
        q: a part of the username or the email, in any case.
    """
    rows = select(User.id)
    if role is not None:
        rows = rows.where(User.role == role)
    if status is not None:
        rows = rows.where(User.status == status)
    if q:
        part = folded(q)
        rows = rows.where(
            or_(func.instr(User.folded_username, part) > 0, func.instr(User.folded_email, part) > 0)
        )
    found = paginate(session, User, rows, page=page, page_size=page_size)
    presence.load_tenants(session, found.items)
    return found


def change(
    session: Session,
    user_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> User:
    """Change a user; whoever may do less or nothing from now on, may so from the next request.

    Args:
        changes: new values by field: email, full_name, role, status, tenant_ids.
        expected: revisions that the caller allows.

    Raises:
        UserNotFound: there is none.
        UserTaken: the email is somebody else's.
        LastAdmin: nobody would be left to administrate.
        TenantNotFound: one of the tenants isn't there.
        PreconditionFailed: it isn't of an expected revision.
    """
    admins = _lock_admins(session)
    user = get(session, user_id, lock=True)
    revisions.require(user.revision, expected)
    before = shown(user)
    if "tenant_ids" in changes:
        presence.set_tenants(session, user, changes.pop("tenant_ids"))
    for field, value in changes.items():
        setattr(user, field, value)
    if not session.is_modified(user):
        return user
    if admins == {user.id} and (user.role, user.status) != ("admin", "active"):
        raise LastAdmin
    _flush(session)
    _require_own_names(session, user)
    if not user.is_active:
        sessions.end_all(session, user.id)
    audit.record(session, "user.update", user.id, tenant_id=None, before=before, after=shown(user))
    return user


def set_password(
    session: Session, user_id: str, password_hash: str, *, keep_session: str | None = None
) -> None:
    """Give a user another password, and end its sessions but one.

    Raises:
        UserNotFound: there is none.
    """
    user = get(session, user_id, lock=True)
    user.password_hash = password_hash
    sessions.end_all(session, user_id, but=keep_session)
    audit.record(session, "user.password", user_id, tenant_id=None)


def remove(session: Session, user_id: str, expected: Collection[int] | None = None) -> None:
    """Delete a user and its sessions; its tenants stay, without an owner.

    Raises:
        UserNotFound: there is none.
        LastAdmin: nobody would be left to administrate.
        PreconditionFailed: it isn't of an expected revision.
    """
    admins = _lock_admins(session)
    user = get(session, user_id, lock=True)
    revisions.require(user.revision, expected)
    if admins == {user.id}:
        raise LastAdmin
    audit.record(session, "user.delete", user_id, tenant_id=None, before=shown(user))
    session.execute(delete(User).where(User.id == user_id))


def note_login(session: Session, user_id: str, password_hash: str | None) -> None:
    """Remember a login, and a hash of today's cost where the stored one is older."""
    values: dict[Any, Any] = {User.last_login_at: clock.now(), User.updated_at: User.updated_at}
    if password_hash is not None:
        values[User.password_hash] = password_hash
    session.execute(
        update(User).where(User.id == user_id).values(values),
        execution_options={"synchronize_session": False},
    )


def shown(user: User) -> dict[str, Any]:
    """A user as the audit log keeps it, without its password."""
    fields = ("username", "email", "full_name", "role", "status", "tenant_ids")
    return {field: getattr(user, field) for field in fields}


def give_personal_tenant(session: Session, user: User) -> None:
    """Create the tenant that a user begins with."""
    name = f"{user.username}'s Personal Tenant"
    if tenants.is_taken(session, name):
        # Somebody gave a tenant this very name by hand; the user must not suffer for it.
        name = f"{name} {user.id[-8:]}"
    tenants.create(session, tenant_name=name, tenant_type="personal", owner_id=user.id)


def _lock_admins(session: Session) -> set[str]:
    """The active admins, whom nobody else can change until the end of the unit."""
    leases.alone(session, "admins")
    active = select(User.id).where(User.role == "admin", User.status == "active")
    return set(session.scalars(active.order_by(User.id).with_for_update()))


def _require_own_names(session: Session, user: User) -> None:
    """A username that is another's email, or the reverse, would take over that one's logins."""
    names = [name for name in (user.folded_username, user.folded_email) if name]
    others = select(User.id).where(
        User.id != user.id, or_(User.folded_username.in_(names), User.folded_email.in_(names))
    )
    if session.scalar(others.limit(1)) is not None:
        raise UserTaken(internal="a username is another's email")


def _flush(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise UserTaken(internal="username or email is taken") from error
