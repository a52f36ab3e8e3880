"""API keys: create, find, change, rotate, delete."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from maimconfig import clock
from maimconfig.agents import service as agents
from maimconfig.api_keys import format as key_format
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.audit import service as audit
from maimconfig.db import revisions
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import KeyDisabled, KeyNameTaken, KeyNotFound, KeyQuotaExceeded
from maimconfig.http.pagination import Page, paginate
from maimconfig.tenants import service as tenants


def create(
    session: Session,
    *,
    tenant_id: str,
    agent_id: str,
    name: str,
    description: str | None = None,
    permissions: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    rate_limit: dict[str, int] | None = None,
    allowed_ips: Sequence[str] | None = None,
    id: str | None = None,
    secret: str | None = None,
) -> ApiKey:
    """Create a key of an agent.

    Args:
        id, secret: of a key that moves here, which no other has; fresh ones when None.
        rate_limit: {limit, window_seconds}.
        allowed_ips: addresses and networks; empty is any.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
        KeyQuotaExceeded: the tenant has as many keys as it may.
        KeyNameTaken: names are unique in the tenant.
    """
    tenant = tenants.get(session, tenant_id, lock=True)
    agents.get(session, agent_id, tenant_id=tenant_id)
    limit = tenants.quota(session, tenant.tenant_config, "max_api_keys")
    if not tenants.count_up(session, tenant, "api_key_count", limit):
        raise KeyQuotaExceeded(f"max_api_keys: {limit}")
    key = ApiKey(
        id=id or new_id("key"),
        tenant_id=tenant_id,
        agent_id=agent_id,
        name=name,
        description=description,
        permissions=list(dict.fromkeys(permissions or ())),
        expires_at=expires_at,
        rate_limit=rate_limit,
        allowed_ips=list(allowed_ips or ()),
        status="active",
        usage_count=0,
    )
    _give_secret(session, key, secret)
    audit.record(session, "api_key.create", key.id, tenant_id=tenant_id, after=shown(key))
    return key


def get(session: Session, key_id: str, *, lock: bool = False) -> ApiKey:
    """A key by id.

    Args:
        lock: hold the row until the end of the unit, for a change.

    Raises:
        KeyNotFound: there is none.
    """
    key = session.get(ApiKey, key_id, with_for_update=lock or None)
    if key is None:
        raise KeyNotFound
    return key


def find(
    session: Session,
    *,
    tenant_id: str,
    page: int,
    page_size: int,
    agent_id: str | None = None,
    status: str | None = None,
) -> Page[ApiKey]:
    """Keys of a tenant, newest first.

    Args:
        status: active, disabled or expired, as of now.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    tenant = tenants.get(session, tenant_id)
    rows = select(ApiKey.id).where(ApiKey.tenant_id == tenant_id)
    if agent_id is not None:
        rows = rows.where(ApiKey.agent_id == agent_id)
    if status is not None:
        rows = _with_status(rows, status)
    unfiltered = agent_id is None and status is None
    total = tenant.api_key_count if unfiltered else None
    return paginate(session, ApiKey, rows, page=page, page_size=page_size, total=total)


def of_agent(session: Session, agent_id: str) -> Sequence[ApiKey]:
    """The keys of an agent, newest first."""
    own = select(ApiKey).where(ApiKey.agent_id == agent_id)
    return session.scalars(own.order_by(ApiKey.created_at.desc(), ApiKey.id.desc())).all()


def change(
    session: Session,
    key_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
    action: str = "update",
) -> ApiKey:
    """Change a key; the next check of it, in every process, follows.

    Args:
        changes: new values by field. Of `status`, `expired` means from now on.
        expected: revisions that the caller allows.
        action: as the audit log names it.

    Raises:
        KeyNotFound: there is none.
        KeyNameTaken: another key of the tenant has the name.
        PreconditionFailed: it isn't of an expected revision.
    """
    key = get(session, key_id, lock=True)
    revisions.require(key.revision, expected)
    before = shown(key)
    for field, value in {**changes, **_status_changes(key, changes.get("status"))}.items():
        setattr(key, field, value)
    if session.is_modified(key):
        _flush(session, key)
        audit.record(
            session, f"api_key.{action}", key.id, tenant_id=key.tenant_id,
            before=before, after=shown(key),
        )  # fmt: skip
    return key


def rotate(
    session: Session, key_id: str, *, grace_seconds: int = 0, secret: str | None = None
) -> ApiKey:
    """Give a key a new secret under the same id.

    Args:
        secret: the new one, which no other key has; a fresh one when None.
        grace_seconds: for how long the old secret stays good.

    Raises:
        KeyNotFound: there is none.
        KeyDisabled: it is disabled.
    """
    key = get(session, key_id, lock=True)
    if key.status != "active":
        raise KeyDisabled
    _retire_secrets(session, key.id, grace_seconds)
    _give_secret(session, key, secret)
    audit.record(
        session, "api_key.rotate", key.id, tenant_id=key.tenant_id,
        after={"grace_seconds": grace_seconds},
    )  # fmt: skip
    return key


def remove(session: Session, key_id: str, expected: Collection[int] | None = None) -> ApiKey:
    """Delete a key.

    Raises:
        KeyNotFound: there is none.
        PreconditionFailed: it isn't of an expected revision.
    """
    owner = select(ApiKey.tenant_id).where(ApiKey.id == key_id).scalar_subquery()
    tenants.hold(session, owner, alone=True)
    key = get(session, key_id, lock=True)
    revisions.require(key.revision, expected)
    audit.record(session, "api_key.delete", key.id, tenant_id=key.tenant_id, before=shown(key))
    session.execute(delete(ApiKey).where(ApiKey.id == key_id))
    tenants.count_down(session, key.tenant_id, "api_key_count")
    return key


def status_of(key: ApiKey) -> str:
    """active, disabled or expired, as of now."""
    if key.expires_at is not None and key.expires_at <= clock.now():
        return "expired"
    return key.status


def secret_of(session: Session, key: ApiKey) -> str:
    """The full key, for whoever may see it."""
    return session.runtime.vault.decrypt(key.sealed_secret, context_of(key.id))


def by_secret(session: Session, secret: str) -> ApiKey | None:
    """The key that a secret is, or was until a rotation, of; None when there is none."""
    hashes = session.runtime.vault.key_hashes(secret)
    return session.scalars(
        select(ApiKey)
        .join(ApiKeySecret, ApiKeySecret.api_key_id == ApiKey.id)
        .where(ApiKeySecret.secret_hash.in_(hashes))
        .limit(1)
    ).first()


def shown(key: ApiKey) -> dict[str, Any]:
    """A key as the audit log keeps it, without its secret."""
    fields = ("agent_id", "name", "description", "permissions", "status", "rate_limit",
              "allowed_ips")  # fmt: skip
    return {
        **{field: getattr(key, field) for field in fields},
        "expires_at": clock.wire(key.expires_at) if key.expires_at else None,
    }


def forget_retired(session: Session) -> None:
    """Delete secrets whose grace is over."""
    session.execute(delete(ApiKeySecret).where(ApiKeySecret.retires_at <= clock.now()))


def _status_changes(key: ApiKey, status: str | None) -> dict[str, Any]:
    if status == "expired":
        return {"status": key.status, "expires_at": clock.now()}
    if status == "disabled" and key.status != "disabled":
        return {"disabled_at": clock.now()}
    return {"disabled_at": None} if status == "active" else {}


def _with_status(rows: Select[Any], status: str) -> Select[Any]:
    now = clock.now()
    if status == "expired":
        return rows.where(ApiKey.expires_at <= now)
    good = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)
    return rows.where(ApiKey.status == status, good)


def _give_secret(session: Session, key: ApiKey, given: str | None) -> None:
    vault = session.runtime.vault
    secret = given or key_format.make(key.tenant_id, key.agent_id)
    key.sealed_secret = vault.encrypt(secret, context_of(key.id))
    session.add(key)
    _flush(session, key)
    session.add(
        ApiKeySecret(
            secret_hash=vault.key_hash(secret),
            api_key_id=key.id,
            sealed_secret=key.sealed_secret,
        )
    )


def _retire_secrets(session: Session, key_id: str, grace_seconds: int) -> None:
    own = ApiKeySecret.api_key_id == key_id
    if grace_seconds == 0:
        session.execute(delete(ApiKeySecret).where(own))
        return
    until = clock.now() + timedelta(seconds=grace_seconds)
    earlier = or_(ApiKeySecret.retires_at.is_(None), ApiKeySecret.retires_at > until)
    session.execute(update(ApiKeySecret).where(own, earlier).values(retires_at=until))


def context_of(key_id: str) -> str:
    """What a key's secret is sealed for."""
    return f"api_key:{key_id}"


def _flush(session: Session, key: ApiKey) -> None:
    name = key.name  # a flush that fails leaves nothing to read in the object
    try:
        session.flush()
    except IntegrityError as error:
        raise KeyNameTaken(internal=f"key name {name!r} is taken") from error
