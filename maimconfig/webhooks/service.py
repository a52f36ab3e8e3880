"""Webhooks: create, change, delete, and tell them of events."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from sqlalchemy import bindparam, func, insert, select

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.db import leases, revisions
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import Invalid, TenantQuotaExceeded, WebhookNotFound
from maimconfig.http.pagination import Page, paginate
from maimconfig.i18n import Text
from maimconfig.security.outbound import is_permitted
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant
from maimconfig.webhooks import signing
from maimconfig.webhooks.models import Delivery, Webhook

NOT_PUBLIC = Text("必须指向公网地址", "Must lead to a public address")
MAX_WEBHOOKS = 20  # of a tenant: each event is sent to all of them


class Event(NamedTuple):
    """Something that a tenant's webhooks are told of.

    Attributes:
        name: one of `models.EVENTS`.
        data: what is told; JSON.
    """

    tenant_id: str
    name: str
    data: Mapping[str, Any]


# In Core, for they are on the way of every message.
_WEBHOOKS: Any = Webhook.__table__
_DELIVERIES: Any = Delivery.__table__
# Locked, as the foreign key of a delivery would lock them: one that goes between the two would
# take with it what is told of. A unit locks its tenant before (`tenants.hold`), as a change does.
_LISTENING = (
    select(_WEBHOOKS.c.tenant_id, _WEBHOOKS.c.id, _WEBHOOKS.c.events)
    .where(
        _WEBHOOKS.c.tenant_id.in_(bindparam("tenant_ids", expanding=True)), _WEBHOOKS.c.is_active
    )
    .with_for_update(read=True)
)


def emit(session: Session, tenant_id: str, event: str, data: Mapping[str, Any]) -> None:
    """Tell a tenant's webhooks of an event, if this transaction commits; see `Event`."""
    emit_many(session, [Event(tenant_id, event, data)])


def emit_many(session: Session, events: Sequence[Event]) -> None:
    """Tell webhooks of events, if this transaction commits; one query where nobody listens."""
    if not events:
        return
    listening = _listening(session, {event.tenant_id for event in events})
    if not listening:
        return
    now = clock.now()
    rows = [
        _row(event, webhook_id, body, now)
        for event in events
        if (hooks := listening.get(event.tenant_id)) and (body := _body(event, now))
        for webhook_id, names in hooks
        if not names or event.name in names
    ]
    if rows:
        session.connection().execute(insert(_DELIVERIES), rows)
        session.when_committed(session.runtime.webhooks.wake)


def _listening(
    session: Session, tenant_ids: Collection[str]
) -> dict[str, list[tuple[str, list[str]]]]:
    found: dict[str, list[tuple[str, list[str]]]] = {}
    listening = session.connection().execute(_LISTENING, {"tenant_ids": sorted(tenant_ids)})
    for tenant_id, webhook_id, names in listening:
        found.setdefault(tenant_id, []).append((webhook_id, names))
    return found


def _body(event: Event, now: Any) -> str:
    """The payload that Standard Webhooks recommends, with whose it is."""
    payload = {
        "type": event.name,
        "timestamp": clock.wire(now),
        "tenant_id": event.tenant_id,
        "data": event.data,
    }
    return orjson.dumps(payload).decode()


def _row(event: Event, webhook_id: str, body: str, now: Any) -> dict[str, Any]:
    return {
        "id": new_id("delivery"),
        "tenant_id": event.tenant_id,
        "webhook_id": webhook_id,
        "event": event.name,
        "body": body,
        "due_at": now,
        "created_at": now,
    }


def create(
    session: Session,
    *,
    tenant_id: str,
    url: str,
    events: Sequence[str] | None = None,
    secret: str | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Create a webhook of a tenant.

    Args:
        events: that it is told of; all when there are none.
        secret: by which deliveries are signed; made when None.

    Raises:
        TenantNotFound: there is no such tenant.
        TenantQuotaExceeded: it has 20 already.
        Invalid: the URL leads to an address that isn't public.
    """
    tenants.get(session, tenant_id, lock=True)
    leases.alone(session, "webhooks")
    number = select(func.count()).select_from(Webhook).where(Webhook.tenant_id == tenant_id)
    if (session.scalar(number) or 0) >= MAX_WEBHOOKS:
        raise TenantQuotaExceeded(f"webhooks: {MAX_WEBHOOKS}")
    _require_permitted(session, url)
    webhook = Webhook(id=new_id("webhook"), tenant_id=tenant_id, url=url, events=_once(events))
    webhook.is_active = True if is_active is None else is_active
    _seal(session, webhook, secret or signing.new_secret())
    session.add(webhook)
    session.flush()
    audit.record(session, "webhook.create", webhook.id, tenant_id=tenant_id, after=shown(webhook))
    return webhook


def get(session: Session, webhook_id: str, *, lock: bool = False) -> Webhook:
    """A webhook by id.

    Raises:
        WebhookNotFound: there is none.
    """
    webhook = session.get(Webhook, webhook_id, with_for_update=lock or None)
    if webhook is None:
        raise WebhookNotFound
    return webhook


def owned(session: Session, user_id: str, webhook_id: str, *, lock: bool = False) -> Webhook:
    """A webhook of a user's tenants.

    Raises:
        WebhookNotFound: there is none, or it is somebody else's.
    """
    if lock:
        tenants.hold(session, _tenant_of(webhook_id))
    webhook = session.scalar(
        select(Webhook)
        .join(Tenant, Tenant.id == Webhook.tenant_id)
        .where(Webhook.id == webhook_id, Tenant.owner_id == user_id)
    )
    if webhook is None:
        raise WebhookNotFound
    return webhook


def find(
    session: Session,
    *,
    page: int,
    page_size: int,
    tenant_id: str | None = None,
    owner_id: str | None = None,
) -> Page[Webhook]:
    """Webhooks of a tenant or of a user's tenants, newest first.

    Raises:
        TenantNotFound: a tenant is named that there isn't, or that is somebody else's.
    """
    rows = select(Webhook.id)
    if tenant_id is not None:
        if owner_id is None:
            tenants.get(session, tenant_id)
        else:
            tenants.owned(session, owner_id, tenant_id)
        rows = rows.where(Webhook.tenant_id == tenant_id)
    elif owner_id is not None:
        rows = rows.join(Tenant, Tenant.id == Webhook.tenant_id).where(Tenant.owner_id == owner_id)
    return paginate(session, Webhook, rows, page=page, page_size=page_size)


def change(
    session: Session,
    webhook_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> Webhook:
    """Change a webhook; switched on again it is taken for one that works.

    Args:
        changes: new values by field: url, events, secret, is_active.
        expected: revisions that the caller allows.

    Raises:
        WebhookNotFound: there is none.
        PreconditionFailed: it isn't of an expected revision.
        Invalid: the URL leads to an address that isn't public.
    """
    webhook = _held(session, webhook_id)
    revisions.require(webhook.revision, expected)
    if "url" in changes:
        _require_permitted(session, changes["url"])
    before = shown(webhook)
    secret = changes.pop("secret", None)
    if "events" in changes:
        changes["events"] = _once(changes["events"])
    if changes.get("url", webhook.url) != webhook.url:
        changes["failing_since"] = None  # it was another endpoint that failed
    if changes.get("is_active"):
        changes |= {"failing_since": None, "disabled_at": None}
    for field, value in changes.items():
        setattr(webhook, field, value)
    if secret is not None:
        _seal(session, webhook, secret)
    if session.is_modified(webhook):
        session.flush()
        audit.record(
            session, "webhook.update", webhook.id, tenant_id=webhook.tenant_id,
            before=before, after={**shown(webhook), **({"secret": "changed"} if secret else {})},
        )  # fmt: skip
    return webhook


def remove(session: Session, webhook_id: str, expected: Collection[int] | None = None) -> Webhook:
    """Delete a webhook with its deliveries, those that wait included.

    Raises:
        WebhookNotFound: there is none.
        PreconditionFailed: it isn't of an expected revision.
    """
    webhook = _held(session, webhook_id)
    revisions.require(webhook.revision, expected)
    audit.record(
        session, "webhook.delete", webhook.id, tenant_id=webhook.tenant_id, before=shown(webhook)
    )
    session.delete(webhook)
    session.flush()
    return webhook


def secret_of(session: Session, webhook: Webhook) -> str:
    """By what a webhook's deliveries are signed."""
    return session.runtime.vault.decrypt(webhook.sealed_secret, context_of(webhook.id))


def context_of(webhook_id: str) -> str:
    """What a sealed secret is bound to."""
    return f"webhook {webhook_id}"


def shown(webhook: Webhook) -> dict[str, Any]:
    """A webhook as the audit log keeps it: paths of URLs often are secrets."""
    return {
        "host": urlsplit(webhook.url).netloc,
        "events": webhook.events,
        "is_active": webhook.is_active,
    }


def _held(session: Session, webhook_id: str) -> Webhook:
    tenants.hold(session, _tenant_of(webhook_id))
    return get(session, webhook_id, lock=True)


def _tenant_of(webhook_id: str) -> Any:
    return select(Webhook.tenant_id).where(Webhook.id == webhook_id).scalar_subquery()


def _require_permitted(session: Session, url: str) -> None:
    """Refuse what can be told from the URL alone; names are judged whenever they are resolved."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not is_permitted(host, port, [address], session.runtime.settings.provider_allow):
        raise Invalid(details={"url": [NOT_PUBLIC]})


def _seal(session: Session, webhook: Webhook, secret: str) -> None:
    webhook.sealed_secret = session.runtime.vault.encrypt(secret, context_of(webhook.id))


def _once(events: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys(events or ()))
