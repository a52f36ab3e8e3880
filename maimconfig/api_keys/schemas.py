"""API keys on the wire."""

from __future__ import annotations

import ipaddress
from datetime import datetime

from marshmallow import Schema, ValidationError
from marshmallow import fields as plain

from maimconfig import clock
from maimconfig.api_keys import format as key_format
from maimconfig.api_keys import service
from maimconfig.api_keys.models import ApiKey
from maimconfig.http import fields
from maimconfig.http.context import session
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema
from maimconfig.i18n import Text
from maimconfig.permissions import MAX_NAMED, MAX_PERMISSIONS

STATUSES = ("active", "disabled", "expired")
MAX_SECONDS = 366 * 24 * 3600
IN_THE_PAST = Text("必须晚于当前时间", "Must be in the future")
NOT_AN_ADDRESS = Text("不是有效的IP地址或网段", "Not a valid IP address or network")


def in_the_future(moment: datetime | None) -> None:
    """Refuse a time that is over."""
    if moment is not None and moment <= clock.now():
        raise ValidationError(IN_THE_PAST)


def address_or_network(text: str) -> None:
    """Refuse what is neither an IP address nor a network."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValidationError(NOT_AN_ADDRESS) from error


class RateLimit(InputSchema):
    """So many checks in so many seconds."""

    limit = fields.Integer(required=True, validate=fields.between(1, 1_000_000_000))
    window_seconds = fields.Integer(required=True, validate=fields.between(1, MAX_SECONDS))


class KeyChange(InputSchema):
    """PUT /api-keys/{id}"""

    name = fields.Name(allow_none=True)
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    permissions = fields.Texts(items=MAX_NAMED, allow_none=True)
    status = fields.String(allow_none=True, validate=fields.one_of(*STATUSES))
    expires_at = fields.Moment(allow_none=True, validate=in_the_future)
    rate_limit = plain.Nested(RateLimit, allow_none=True)
    allowed_ips = fields.Texts(
        items=100,
        text=fields.String(validate=address_or_network),
        allow_none=True,
    )


class KeyCreate(InputSchema):
    """POST /api-keys"""

    tenant_id = fields.Id(required=True)
    agent_id = fields.Id(required=True)
    name = fields.Name(required=True, metadata={"example": "生产密钥"})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    permissions = fields.Texts(
        items=MAX_NAMED,
        allow_none=True,
        metadata={"example": ["chat"], "maxItems": MAX_PERMISSIONS},
    )
    expires_at = fields.Moment(allow_none=True, validate=in_the_future)
    rate_limit = plain.Nested(RateLimit, allow_none=True)
    allowed_ips = fields.Texts(
        items=100,
        text=fields.String(validate=address_or_network),
        allow_none=True,
        metadata={"example": ["203.0.113.7", "10.0.0.0/8"]},
    )


class KeysQuery(PageQuery):
    """GET /api-keys"""

    tenant_id = fields.Id(required=True)
    agent_id = fields.Id()
    status = fields.String(validate=fields.one_of(*STATUSES))


class Rotation(InputSchema):
    """POST /api-keys/{id}/rotate"""

    grace_seconds = fields.Integer(
        load_default=0,
        allow_none=True,
        validate=fields.between(0, MAX_SECONDS),
        metadata={"description": "For how long the old secret stays good."},
    )


class KeyOut(Schema):
    """A key. `api_key` is masked where MAIMCONFIG_REVEAL_API_KEYS is false."""

    id = plain.String(required=True)
    api_key_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    name = plain.String(required=True)
    description = plain.String(required=True, allow_none=True)
    api_key = plain.Method("_api_key", required=True, metadata={"type": "string"})
    permissions = plain.List(plain.String(), required=True)
    status = plain.Function(service.status_of, required=True, metadata={"type": "string"})
    expires_at = fields.Moment(required=True, allow_none=True)
    last_used_at = fields.Moment(required=True, allow_none=True)
    usage_count = plain.Integer(required=True)
    rate_limit = plain.Nested(RateLimit, required=True, allow_none=True)
    allowed_ips = plain.List(plain.String(), required=True)
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)

    def _api_key(self, key: ApiKey) -> str:
        secret = service.secret_of(session(), key)
        reveal = session().runtime.settings.reveal_api_keys
        return secret if reveal or self.reveals else key_format.masked(secret)

    reveals = False


class NewKeyOut(KeyOut):
    """A key with its secret in full, once."""

    reveals = True


class KeyStatus(Schema):
    """The status of a key."""

    id = plain.String(required=True)
    api_key_id = plain.String(required=True, attribute="id", dump_only=True)
    status = plain.Function(service.status_of, required=True, metadata={"type": "string"})
    disabled_at = fields.Moment(required=True, allow_none=True)


class KeyDeleted(Schema):
    """What was deleted."""

    id = plain.String(required=True)
    api_key_id = plain.String(required=True, attribute="id", dump_only=True)
    deleted_at = fields.Moment(required=True)


class OwnKeyCreate(InputSchema):
    """POST /api/v1/agents/{id}/api_keys"""

    name = fields.Name(required=True, metadata={"example": "生产密钥"})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    permissions = plain.List(fields.String(), allow_none=True, metadata={"example": ["chat"]})
    expires_at = fields.Moment(allow_none=True, validate=in_the_future)


class OwnKeyOut(KeyOut):
    """A key as the owner of its agent sees it."""

    class Meta:
        fields = (
            "id",
            "tenant_id",
            "agent_id",
            "name",
            "description",
            "api_key",
            "permissions",
            "status",
            "created_at",
            "last_used_at",
            "expires_at",
        )


class NewOwnKeyOut(OwnKeyOut):
    """A key with its secret in full, once."""

    reveals = True
