"""The log of deliveries, and redelivery by hand."""

from __future__ import annotations

from sqlalchemy import select

from maimconfig import clock
from maimconfig.db.session import Session
from maimconfig.http.errors import DeliveryNotFound, WebhookInactive
from maimconfig.http.pagination import Page, paginate
from maimconfig.tenants.models import Tenant
from maimconfig.webhooks.models import Delivery, Webhook


def find(
    session: Session,
    webhook: Webhook,
    *,
    page: int,
    page_size: int,
    status: str | None = None,
    event: str | None = None,
) -> Page[Delivery]:
    """What was and will be sent to a webhook, newest first.

    Args:
        status: pending, delivered or failed.
    """
    rows = select(Delivery.id).where(Delivery.webhook_id == webhook.id)
    if status is not None:
        rows = rows.where(Delivery.status == status)
    if event is not None:
        rows = rows.where(Delivery.event == event)
    return paginate(session, Delivery, rows, page=page, page_size=page_size)


def redeliver(session: Session, delivery_id: str, *, owner_id: str | None = None) -> Delivery:
    """Send a delivery again, under the same id and with all its attempts before it.

    Args:
        owner_id: whose it must be; None is anybody's.

    Raises:
        DeliveryNotFound: there is none, or it is somebody else's.
        WebhookInactive: its webhook is switched off.
    """
    wanted = (
        select(Webhook.is_active)
        .select_from(Delivery)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id == delivery_id)
    )
    if owner_id is not None:
        owner = select(Tenant.owner_id).where(Tenant.id == Delivery.tenant_id).scalar_subquery()
        wanted = wanted.where(owner == owner_id)
    is_active = session.scalar(wanted)
    if is_active is None:
        raise DeliveryNotFound
    if not is_active:
        raise WebhookInactive
    # As it is now: a sender may just be storing how its attempt ended.
    delivery = session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None:
        raise DeliveryNotFound
    # Whoever is sending it holds a claim that counts no more.
    again = {"status": "pending", "attempts": 0, "due_at": clock.now(), "claim": None,
             "settled_at": None}  # fmt: skip
    for field, value in again.items():
        setattr(delivery, field, value)
    session.flush()
    session.when_committed(session.runtime.webhooks.wake)
    return delivery
