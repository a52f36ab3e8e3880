"""Webhooks on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from marshmallow import Schema, ValidationError
from marshmallow import fields as plain

from maimconfig import clock
from maimconfig.http import fields
from maimconfig.http.context import session
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema
from maimconfig.i18n import Text
from maimconfig.webhooks import service, signing
from maimconfig.webhooks.models import DELIVERY_STATUSES, EVENTS, MAX_URL, Delivery, Webhook

MASK = "********"
NOT_AN_ADDRESS = Text(
    "必须是http或https网址，且不含用户名", "Must be an http or https URL without a user in it"
)
NOT_A_SECRET = Text(
    "必须是 whsec_ 加24到64字节的Base64", "Must be whsec_ and the Base64 of 24 to 64 bytes"
)


def check_url(text: str) -> None:
    """Refuse what deliveries couldn't be sent to."""
    from maimconfig.security.outbound_http import AddressRefused, checked_url

    try:
        checked_url(text, trusted=False)
    except AddressRefused as error:
        raise ValidationError(NOT_AN_ADDRESS) from error


def check_secret(text: str) -> None:
    """Refuse what no receiver's library would take for a secret."""
    if not signing.is_secret(text):
        raise ValidationError(NOT_A_SECRET)


def _check_changed_secret(text: str) -> None:
    if text != MASK:
        check_secret(text)


def _url(**options: Any) -> fields.String:
    return fields.String(
        validate=[fields.length(1, MAX_URL), check_url],
        metadata={"example": "https://example.com/hooks/maimconfig"},
        **options,
    )


def _events() -> fields.Texts:
    return fields.Texts(
        items=2 * len(EVENTS),
        text=fields.String(validate=fields.one_of(*EVENTS)),
        allow_none=True,
        metadata={"description": "None are all.", "example": ["message.created"]},
    )


def _secret(check: Callable[[str], None] = check_secret) -> fields.String:
    return fields.String(
        allow_none=True,
        validate=[fields.length(1, signing.MAX_SECRET), check],
        metadata={"description": "`whsec_` and Base64 of 24 to 64 bytes."},
    )


class WebhookChange(InputSchema):
    """PUT /webhooks/{id}"""

    url = _url(allow_none=True)
    events = _events()
    secret = _secret(_check_changed_secret)
    is_active = fields.Boolean(allow_none=True)


class WebhookCreate(InputSchema):
    """POST /api/v2/webhooks"""

    tenant_id = fields.Id(required=True)
    url = _url(required=True)
    events = _events()
    secret = _secret()
    is_active = fields.Boolean(allow_none=True)


class OwnWebhookCreate(WebhookCreate):
    """POST /api/v1/webhooks"""

    tenant_id = fields.Id(
        allow_none=True, metadata={"description": "The caller's first tenant when absent."}
    )


class WebhooksQuery(PageQuery):
    """GET /api/v2/webhooks"""

    tenant_id = fields.Id(required=True)


class OwnWebhooksQuery(PageQuery):
    """GET /api/v1/webhooks"""

    tenant_id = fields.Id()


class DeliveriesQuery(PageQuery):
    """GET /webhooks/{id}/deliveries"""

    status = fields.String(validate=fields.one_of(*DELIVERY_STATUSES))
    event = fields.String(validate=fields.one_of(*EVENTS))


class WebhookOut(Schema):
    """A webhook; its secret is shown only when it is created."""

    id = plain.String(required=True)
    webhook_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_id = plain.String(required=True)
    url = plain.String(required=True)
    events = plain.List(plain.String(), required=True)
    secret = plain.Method("_secret", required=True, metadata={"type": "string"})
    is_active = plain.Boolean(required=True)
    failing_since = fields.Moment(
        required=True,
        allow_none=True,
        metadata={"description": "When the first attempt failed after which none succeeded."},
    )
    disabled_at = fields.Moment(
        required=True,
        allow_none=True,
        metadata={"description": "When it was switched off for failing."},
    )
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)

    def _secret(self, webhook: Webhook) -> str:
        return MASK


class NewWebhookOut(WebhookOut):
    """A webhook with its secret, once."""

    def _secret(self, webhook: Webhook) -> str:
        return service.secret_of(session(), webhook)


class WebhookDeleted(Schema):
    """What was deleted."""

    id = plain.String(required=True)
    webhook_id = plain.String(required=True, attribute="id", dump_only=True)
    deleted_at = fields.Moment(required=True)


class DeliveryOut(Schema):
    """An event that was sent, or is to be. `id` is its webhook-id."""

    id = plain.String(required=True)
    delivery_id = plain.String(required=True, attribute="id", dump_only=True)
    webhook_id = plain.String(required=True)
    tenant_id = plain.String(required=True)
    event = plain.String(required=True, metadata={"example": "message.created"})
    payload = plain.Function(
        lambda delivery: orjson.loads(delivery.body), required=True, metadata={"type": "object"}
    )
    status = plain.String(required=True, metadata={"example": "delivered"})
    attempts = plain.Integer(required=True)
    response_status = plain.Integer(required=True, allow_none=True)
    error = plain.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Of the last attempt: address_refused, timeout, unreachable, broken, "
            "redirect, gone, status or secret_unknown; inactive when the webhook was switched off, "
            "expired when its endpoint had no place for it in 2 days."
        },
    )
    duration_ms = plain.Integer(required=True, allow_none=True)
    next_attempt_at = plain.Method(
        "_next_attempt_at", required=True, metadata={"type": ["string", "null"]}
    )
    created_at = fields.Moment(required=True)
    last_attempt_at = fields.Moment(required=True, allow_none=True)
    settled_at = fields.Moment(required=True, allow_none=True)

    def _next_attempt_at(self, delivery: Delivery) -> str | None:
        due: datetime | None = delivery.due_at
        return None if due is None else clock.wire(due)
