"""/api/v2/webhooks and /api/v2/deliveries"""

from __future__ import annotations

from typing import Any

from maimconfig import clock
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import current, note_tenant, session
from maimconfig.http.pagination import Page, page_of
from maimconfig.http.schema import changes_of
from maimconfig.webhooks import deliveries, schemas, service
from maimconfig.webhooks.models import Delivery, Webhook

blp = Blueprint(
    "webhooks",
    __name__,
    style="envelope",
    url_prefix="/api/v2",
    description="Addresses of a tenant that are told of events.",
)

UNKNOWN = (errors.WebhookNotFound,)


def _noted(webhook: Webhook) -> Webhook:
    note_tenant(webhook.tenant_id)
    return webhook


def etag_of(webhook: Webhook) -> None:
    """Give the answer the ETag of a webhook; whether it fails changes without a revision."""
    revision_etag(webhook.revision, int(webhook.failing_since is not None))


def changes_in(payload: dict[str, Any]) -> dict[str, Any]:
    """What a PUT changes; a masked secret is the one that is there."""
    changes = changes_of(payload)
    if changes.get("secret") == schemas.MASK:
        del changes["secret"]
    return changes


@blp.post("/webhooks", creates=True, errors=(errors.TenantNotFound, errors.TenantQuotaExceeded))
@blp.arguments(schemas.WebhookCreate)
@blp.response(200, schemas.NewWebhookOut)
def create_webhook(payload: dict[str, Any]) -> Webhook:
    """Create a webhook of a tenant

    The answer shows its secret, which is not shown again.
    """
    note_tenant(payload["tenant_id"])
    current().headers["Cache-Control"] = "no-store"
    return service.create(session(), **changes_in(payload))


@blp.get("/webhooks", errors=(errors.TenantNotFound,))
@blp.arguments(schemas.WebhooksQuery, location="query")
@blp.response(200, page_of(schemas.WebhookOut))
def list_webhooks(query: dict[str, Any]) -> Page[Webhook]:
    """List the webhooks of a tenant, newest first"""
    note_tenant(query["tenant_id"])
    return service.find(session(), **query)


@blp.get("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.WebhookOut)
def get_webhook(webhook_id: str) -> Webhook:
    """Get a webhook"""
    webhook = _noted(service.get(session(), webhook_id))
    etag_of(webhook)
    return webhook


@blp.put("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.WebhookChange)
@blp.response(200, schemas.WebhookOut)
def change_webhook(payload: dict[str, Any], webhook_id: str) -> Webhook:
    """Change a webhook

    Switched off, it is told of nothing, and what waits for it is given up.
    """
    changes = changes_in(payload)
    webhook = _noted(service.change(session(), webhook_id, changes, expected_revisions()))
    etag_of(webhook)
    return webhook


@blp.delete("/webhooks/<id:webhook_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.WebhookDeleted)
def delete_webhook(webhook_id: str) -> dict[str, Any]:
    """Delete a webhook with its deliveries"""
    webhook = _noted(service.remove(session(), webhook_id, expected_revisions()))
    return {"id": webhook.id, "deleted_at": clock.now()}


@blp.get("/webhooks/<id:webhook_id>/deliveries", errors=UNKNOWN)
@blp.arguments(schemas.DeliveriesQuery, location="query")
@blp.response(200, page_of(schemas.DeliveryOut))
def list_deliveries(query: dict[str, Any], webhook_id: str) -> Page[Delivery]:
    """List what was and will be sent to a webhook, newest first"""
    webhook = _noted(service.get(session(), webhook_id))
    return deliveries.find(session(), webhook, **query)


@blp.post(
    "/deliveries/<id:delivery_id>/redeliver",
    errors=(errors.DeliveryNotFound, errors.WebhookInactive),
)
@blp.response(200, schemas.DeliveryOut)
def redeliver(delivery_id: str) -> Delivery:
    """Send a delivery again, under the same webhook-id"""
    delivery = deliveries.redeliver(session(), delivery_id)
    note_tenant(delivery.tenant_id)
    return delivery
