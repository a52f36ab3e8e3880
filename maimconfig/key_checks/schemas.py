"""Key checks on the wire."""

from __future__ import annotations

from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.schema import InputSchema, Ready

EXAMPLE_KEY = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="


def _api_key() -> fields.String:
    return fields.String(required=True, metadata={"example": EXAMPLE_KEY})


class KeyToParse(InputSchema):
    """POST /auth/parse-api-key"""

    api_key = _api_key()


class KeyToValidate(InputSchema):
    """POST /auth/validate-api-key"""

    api_key = _api_key()
    required_permission = fields.String(allow_none=True, validate=fields.length(1, 64))
    check_rate_limit = fields.Boolean(
        load_default=True,
        allow_none=True,
        metadata={"description": "Whether the call counts, against the rate limit too."},
    )
    client_ip = fields.String(
        allow_none=True,
        validate=fields.length(1, 64),
        metadata={
            "description": "Who uses the key, for its allowed_ips; the caller itself if absent."
        },
    )


class PermissionToCheck(InputSchema):
    """POST /auth/check-permission"""

    api_key = _api_key()
    permission = fields.String(
        required=True, validate=fields.length(1, 64), metadata={"example": "chat"}
    )


class ParsedKeyOut(Ready):
    """The parts of a key."""

    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    random_hash = plain.String(required=True)
    version = plain.String(required=True)
    format_valid = plain.Boolean(required=True)


class RateOut(Ready):
    """What is left of a rate limit; reset is in seconds."""

    limit = plain.Integer(required=True)
    remaining = plain.Integer(required=True)
    reset = plain.Integer(required=True)


class ValidKeyOut(Ready):
    """A key that is good."""

    valid = plain.Boolean(required=True)
    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    api_key_id = plain.String(required=True)
    permissions = plain.List(plain.String(), required=True)
    has_permission = plain.Boolean(required=True)
    status = plain.String(required=True)
    rate_limit = plain.Nested(RateOut, metadata={"description": "When the key has one."})


class PermissionOut(Ready):
    """Whether a key has a permission."""

    has_permission = plain.Boolean(required=True)
    permission = plain.String(required=True)
    all_permissions = plain.List(plain.String(), required=True)
    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    api_key_status = plain.String(required=True)
