"""Tenants: create, change, count, delete with everything under them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from maimconfig.audit import service as audit
from maimconfig.db import revisions
from maimconfig.db.ids import new_id
from maimconfig.db.owned import delete_owned
from maimconfig.db.session import Session
from maimconfig.db.statements import Statement
from maimconfig.http.errors import TenantNameTaken, TenantNotFound, TenantTypeUnsupported
from maimconfig.http.pagination import Page, paginate
from maimconfig.i18n import Text
from maimconfig.tenants.models import TENANT_TYPES, Tenant
from maimconfig.usage.models import UsageSum


def create(
    session: Session, *, tenant_name: str, tenant_type: str, id: str | None = None, **rest: Any
) -> Tenant:
    """Create a tenant.

    Args:
        id: of a tenant that moves here, which no other has; a fresh one when None.
        rest: description, contact_email, tenant_config, owner_id; None counts as absent.

    Raises:
        TenantTypeUnsupported: the type is none of `TENANT_TYPES`.
        TenantNameTaken: names are unique.
    """
    if tenant_type not in TENANT_TYPES:
        raise TenantTypeUnsupported(details={"tenant_type": [_choices(TENANT_TYPES)]})
    given = {key: value for key, value in rest.items() if value is not None}
    tenant = Tenant(
        id=id or new_id("tenant"), tenant_name=tenant_name, tenant_type=tenant_type, **given
    )
    session.add(tenant)
    _flush(session, tenant_name)
    audit.record(session, "tenant.create", tenant.id, tenant_id=tenant.id, after=shown(tenant))
    return tenant


def get(session: Session, tenant_id: str, *, lock: bool = False, hold: bool = False) -> Tenant:
    """A tenant by id.

    Args:
        lock: nobody else may touch the row until the end of the unit, for a change.
        hold: nobody may change or delete it until then, see `hold`.

    Raises:
        TenantNotFound: there is none.
    """
    for_update = True if lock else {"read": True} if hold else None
    tenant = session.get(Tenant, tenant_id, with_for_update=for_update)
    if tenant is None:
        raise TenantNotFound
    return tenant


def hold(session: Session, tenant_id: Any, *, alone: bool = False) -> None:
    """Lock a tenant's row before a unit locks or inserts anything that belongs to it.

    An insert locks it anyhow, for its foreign key, and the tenant's deletion begins with it.
    Were an agent or a key locked first, the two would wait for each other: a deadlock on MySQL.
    SQLite has one writer at a time.

    Args:
        tenant_id: an id, or a subquery that finds it.
        alone: nobody else may hold it meanwhile, since its counters will be changed.
    """
    if session.runtime.database.is_sqlite:
        return
    if isinstance(tenant_id, str):
        _HELD[alone].all(session, tenant_id=tenant_id)
    else:
        held = select(Tenant.id).where(Tenant.id == tenant_id)
        session.execute(held.with_for_update(read=not alone))


_BY_ID = select(Tenant.id).where(Tenant.id == bindparam("tenant_id"))
_HELD: dict[bool, Statement[Any]] = {
    alone: Statement(_BY_ID.with_for_update(read=not alone)) for alone in (False, True)
}


def find(
    session: Session,
    *,
    page: int,
    page_size: int,
    q: str | None = None,
    **equal: str | None,
) -> Page[Tenant]:
    """Tenants, newest first.

    Args:
        q: a part of the name, in any case.
        equal: status, tenant_type, owner_id.
    """
    rows = select(Tenant.id)
    for column, value in equal.items():
        if value is not None:
            rows = rows.where(getattr(Tenant, column) == value)
    if q:
        rows = rows.where(func.instr(Tenant.folded_name, q.casefold()) > 0)
    return paginate(session, Tenant, rows, page=page, page_size=page_size)


def is_taken(session: Session, tenant_name: str) -> bool:
    """Whether a tenant has this name already."""
    return session.scalar(select(Tenant.id).where(Tenant.tenant_name == tenant_name)) is not None


def of_owner(session: Session, owner_id: str) -> list[Tenant]:
    """The tenants of a user, the first one first."""
    owned = select(Tenant).where(Tenant.owner_id == owner_id)
    return list(session.scalars(owned.order_by(Tenant.created_at, Tenant.id)))


def owned(session: Session, owner_id: str, tenant_id: str | None) -> Tenant:
    """A tenant of a user.

    Args:
        tenant_id: which one; the first when None.

    Raises:
        TenantNotFound: there is none, or it is somebody else's.
    """
    for tenant in of_owner(session, owner_id):
        if tenant_id in (None, tenant.id):
            return tenant
    raise TenantNotFound


def change(
    session: Session,
    tenant_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> Tenant:
    """Change a tenant.

    Args:
        changes: new values by field; an empty one changes nothing.
        expected: revisions that the caller allows.

    Raises:
        TenantNotFound: there is none.
        TenantNameTaken: another tenant has the name.
        PreconditionFailed: it isn't of an expected revision.
    """
    tenant = get(session, tenant_id, lock=True)
    revisions.require(tenant.revision, expected)
    before = shown(tenant)
    for field, value in changes.items():
        setattr(tenant, field, value)
    if session.is_modified(tenant):
        _flush(session, tenant.tenant_name)
        audit.record(
            session, "tenant.update", tenant.id, tenant_id=tenant.id,
            before=before, after=shown(tenant),
        )  # fmt: skip
    return tenant


def remove(
    session: Session, tenant_id: str, expected: Collection[int] | None = None
) -> dict[str, int]:
    """Delete a tenant and everything of it.

    Returns:
        how many objects of each kind went with it.

    Raises:
        TenantNotFound: there is none.
        PreconditionFailed: it isn't of an expected revision.
    """
    tenant = get(session, tenant_id, lock=True)
    revisions.require(tenant.revision, expected)
    audit.record(session, "tenant.delete", tenant.id, tenant_id=tenant.id, before=shown(tenant))
    deleted = delete_owned(session, Tenant, tenant_id)
    session.execute(delete(Tenant).where(Tenant.id == tenant_id))
    session.execute(delete(UsageSum).where(UsageSum.scope == tenant_id))
    return deleted


def shown(tenant: Tenant) -> dict[str, Any]:
    """A tenant as the audit log keeps it."""
    fields = ("tenant_name", "tenant_type", "description", "contact_email", "tenant_config",
              "permission_groups", "status", "owner_id")  # fmt: skip
    return {field: getattr(tenant, field) for field in fields}


def quota(session: Session, tenant_config: Mapping[str, Any], name: str) -> int | None:
    """A quota of a tenant: its own, else the settings' default; None is no limit.

    Args:
        tenant_config: the tenant's.
        name: max_agents, max_api_keys, requests_per_minute or tokens_per_month.
    """
    quotas = tenant_config.get("quotas")
    own = quotas.get(name) if isinstance(quotas, dict) else None
    if isinstance(own, int) and not isinstance(own, bool):
        return own
    default: int | None = getattr(session.runtime.settings, name)
    return default


def count_up(session: Session, tenant: Tenant, counter: str, limit: int | None) -> bool:
    """Raise a counter of a tenant by one unless it is at its limit.

    The limit is judged by the UPDATE itself: of two at once only one gets the last place.

    Args:
        counter: agent_count or api_key_count.
    """
    column = getattr(Tenant, counter)
    raised = update(Tenant).where(Tenant.id == tenant.id).values({column: column + 1})
    if limit is not None:
        raised = raised.where(column < limit)
    return _execute_count(session, raised) == 1


def count_down(session: Session, tenant_id: str, counter: str, by: int = 1) -> None:
    """Lower a counter of a tenant."""
    column = getattr(Tenant, counter)
    _execute_count(
        session, update(Tenant).where(Tenant.id == tenant_id).values({column: column - by})
    )


def _execute_count(session: Session, statement: Any) -> int:
    # updated_at tells of changes that people make; a counter isn't one.
    statement = statement.values(updated_at=Tenant.updated_at)
    result = session.execute(statement, execution_options={"synchronize_session": False})
    rows: int = result.rowcount  # type: ignore[attr-defined]
    return rows


def _choices(choices: Collection[str]) -> Text:
    return Text("必须是以下之一：{}", "Must be one of: {}").format(", ".join(choices))


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise TenantNameTaken(internal=f"tenant name {name!r} is taken") from error
