"""Tenants on the wire."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError
from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema
from maimconfig.permissions import MAX_NAMED
from maimconfig.tenants.models import TENANT_STATUSES, TENANT_TYPES

QUOTAS = ("max_agents", "max_api_keys", "requests_per_minute", "tokens_per_month")
MAX_QUOTA = 2**53
COST_QUOTA = "cost_per_month"
MAX_COST = 10**9


def check_quotas(tenant_config: Any) -> None:
    """Refuse quotas that aren't whole numbers from 0 up; what else is in tenant_config is free."""
    quotas = (tenant_config or {}).get("quotas")
    if quotas is None:
        return
    if not isinstance(quotas, dict):
        raise ValidationError({"quotas": [fields.NOT_OBJECT]})
    wrong = {
        name: [fields.RANGE.format(min=0, max=MAX_QUOTA)]
        for name in QUOTAS
        if not _is_quota(quotas.get(name))
    }
    if not _is_cost(quotas.get(COST_QUOTA)):
        wrong[COST_QUOTA] = [fields.RANGE.format(min=0, max=MAX_COST)]
    if wrong:
        raise ValidationError({"quotas": wrong})


def _is_quota(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MAX_QUOTA)


def _is_cost(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= MAX_COST)


class TenantChange(InputSchema):
    """PUT /tenants/{id}"""

    tenant_name = fields.Name(allow_none=True)
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    contact_email = fields.Email(allow_none=True)
    tenant_config = fields.Object(allow_none=True, validate=check_quotas)
    status = fields.String(allow_none=True, validate=fields.one_of(*TENANT_STATUSES))


class TenantCreate(InputSchema):
    """POST /tenants"""

    tenant_name = fields.Name(required=True, metadata={"example": "麦麦客服"})
    tenant_type = fields.String(
        required=True, metadata={"enum": list(TENANT_TYPES), "example": "enterprise"}
    )
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    contact_email = fields.Email(allow_none=True)
    tenant_config = fields.Object(allow_none=True, validate=check_quotas)
    owner_id = fields.String(allow_none=True, validate=fields.length(1, 50))


class OwnTenantCreate(InputSchema):
    """POST /api/v1/tenants/"""

    tenant_name = fields.Name(required=True, metadata={"example": "麦麦客服"})
    tenant_type = fields.String(load_default="personal", metadata={"enum": list(TENANT_TYPES)})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    contact_email = fields.Email(allow_none=True)


class TenantsQuery(PageQuery):
    """GET /tenants"""

    status = fields.String(validate=fields.one_of(*TENANT_STATUSES))
    tenant_type = fields.String(validate=fields.one_of(*TENANT_TYPES))
    owner_id = fields.String()
    q = fields.NamePart()


class TenantOut(Schema):
    """A tenant."""

    id = plain.String(required=True)
    tenant_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_name = plain.String(required=True)
    tenant_type = plain.String(required=True)
    description = plain.String(required=True, allow_none=True)
    contact_email = plain.String(required=True, allow_none=True)
    tenant_config = fields.Object(required=True)
    status = plain.String(required=True)
    owner_id = plain.String(required=True, allow_none=True)
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)


class TenantDeleted(Schema):
    """What went with a tenant."""

    id = plain.String(required=True)
    tenant_id = plain.String(required=True)
    deleted_at = fields.Moment(required=True)
    deleted = plain.Dict(
        keys=plain.String(), values=plain.Integer(), required=True,
        metadata={"description": "Objects by kind."},
    )  # fmt: skip


class Period(Schema):
    """A number today, this month (both UTC) and in all."""

    today = plain.Integer(required=True)
    this_month = plain.Integer(required=True)
    total = plain.Integer(required=True)


class CostPeriod(Schema):
    """Cost today, this month (both UTC) and in all, as decimals."""

    today = plain.String(required=True, metadata={"example": "0.0123"})
    this_month = plain.String(required=True, metadata={"example": "1.5"})
    total = plain.String(required=True, metadata={"example": "42.75"})


class KeyCounts(Schema):
    """API keys by status."""

    total = plain.Integer(required=True)
    active = plain.Integer(required=True)
    disabled = plain.Integer(required=True)
    expired = plain.Integer(required=True)


class TenantStats(Schema):
    """A tenant in numbers."""

    tenant_id = plain.String(required=True)
    agents = plain.Integer(required=True)
    active_agents = plain.Integer(
        required=True, metadata={"description": "With a heart-beat that has not expired."}
    )
    api_keys = plain.Nested(KeyCounts, required=True)
    messages = plain.Nested(Period, required=True)
    tokens = plain.Nested(Period, required=True)
    cost = plain.Nested(CostPeriod, required=True)


class PermissionGroups(Schema):
    """Names that stand for permissions in the tenant's keys."""

    groups = plain.Dict(
        keys=plain.String(),
        values=plain.List(plain.String()),
        required=True,
        metadata={"example": {"support": ["chat", "config_read"]}},
    )


class PermissionGroupsChange(InputSchema):
    """PUT /tenants/{id}/permission-groups"""

    groups = fields.TextLists(
        items=100,
        each=MAX_NAMED,
        allow_none=True,
        metadata={"example": {"support": ["chat", "config_read"]}},
    )
