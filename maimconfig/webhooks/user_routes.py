"""/api/v1/webhooks and /api/v1/deliveries: those of a user's own tenants"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response

from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions
from maimconfig.http.context import current, login, note_tenant, session
from maimconfig.tenants import service as tenants
from maimconfig.webhooks import deliveries, schemas, service
from maimconfig.webhooks.models import Delivery, Webhook
from maimconfig.webhooks.routes import UNKNOWN, changes_in, etag_of

blp = Blueprint(
    "own-webhooks",
    __name__,
    style="plain",
    url_prefix="/api/v1",
    description="Addresses of the caller's own tenants that are told of events.",
)


def _own(webhook_id: str, *, lock: bool = False) -> Webhook:
    webhook = service.owned(session(), login().user_id, webhook_id, lock=lock)
    note_tenant(webhook.tenant_id)
    return webhook


@blp.get("/webhooks", errors=(errors.TenantNotFound,))
@blp.arguments(schemas.OwnWebhooksQuery, location="query")
@blp.response(200, schemas.WebhookOut(many=True))
def list_own_webhooks(query: dict[str, Any]) -> Sequence[Webhook]:
    """List the webhooks of the caller's tenants, or of one, newest first

    `X-Total-Count` says how many there are.
    """
    found = service.find(session(), owner_id=login().user_id, **query)
    current().headers["X-Total-Count"] = str(found.total)
    return found.items


@blp.post("/webhooks", creates=True, errors=(errors.TenantNotFound, errors.TenantQuotaExceeded))
@blp.arguments(schemas.OwnWebhookCreate)
@blp.response(200, schemas.NewWebhookOut)
def create_own_webhook(payload: dict[str, Any]) -> Webhook:
    """Create a webhook of the caller's first tenant, or of the one named

    The answer shows its secret, which is not shown again.
    """
    tenant = tenants.owned(session(), login().user_id, payload.get("tenant_id"))
    note_tenant(tenant.id)
    current().headers["Cache-Control"] = "no-store"
    return service.create(session(), **{**changes_in(payload), "tenant_id": tenant.id})


@blp.get("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.WebhookOut)
def get_own_webhook(webhook_id: str) -> Webhook:
    """Get a webhook"""
    webhook = _own(webhook_id)
    etag_of(webhook)
    return webhook


@blp.put("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.WebhookChange)
@blp.response(200, schemas.WebhookOut)
def change_own_webhook(payload: dict[str, Any], webhook_id: str) -> Webhook:
    """Change a webhook

    Switched off, it is told of nothing, and what waits for it is given up.
    """
    _own(webhook_id, lock=True)
    changes = changes_in(payload)
    webhook = service.change(session(), webhook_id, changes, expected_revisions())
    etag_of(webhook)
    return webhook


@blp.delete("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.response(204)
def delete_own_webhook(webhook_id: str) -> Response:
    """Delete a webhook with its deliveries"""
    _own(webhook_id, lock=True)
    service.remove(session(), webhook_id, expected_revisions())
    return Response(status=204)


@blp.get("/webhooks/<id:webhook_id>/deliveries", errors=UNKNOWN)
@blp.arguments(schemas.DeliveriesQuery, location="query")
@blp.response(200, schemas.DeliveryOut(many=True))
def list_own_deliveries(query: dict[str, Any], webhook_id: str) -> Sequence[Delivery]:
    """List what was and will be sent to a webhook, newest first

    `X-Total-Count` says how many there are.
    """
    found = deliveries.find(session(), _own(webhook_id), **query)
    current().headers["X-Total-Count"] = str(found.total)
    return found.items


@blp.post(
    "/deliveries/<id:delivery_id>/redeliver",
    errors=(errors.DeliveryNotFound, errors.WebhookInactive),
)
@blp.response(200, schemas.DeliveryOut)
def redeliver_own(delivery_id: str) -> Delivery:
    """Send a delivery again, under the same webhook-id"""
    delivery = deliveries.redeliver(session(), delivery_id, owner_id=login().user_id)
    note_tenant(delivery.tenant_id)
    return delivery
