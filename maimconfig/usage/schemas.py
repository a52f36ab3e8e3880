"""Usage on the wire."""

from __future__ import annotations

import re

from marshmallow import Schema, validate
from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery, Pagination
from maimconfig.http.schema import InputSchema, Ready
from maimconfig.i18n import Text
from maimconfig.usage.report import GROUPS

NOT_MONTH = Text("必须是YYYY-MM格式的月份", "Must be a month, such as 2026-11")
PAGE_SIZE = 100
_MONTH = re.compile(r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])\Z")


class UsageLog(InputSchema):
    """POST /api/v1/usage/log"""

    action = fields.Name(required=True, metadata={"example": "chat"})
    tenant_id = fields.Id(allow_none=True)
    agent_id = fields.Id(allow_none=True)
    user_id = fields.String(allow_none=True, validate=fields.length(1, 100))
    details = fields.Object(
        allow_none=True,
        metadata={
            "description": "Free; model, api_key_id, prompt_tokens, completion_tokens, cost and "
            "status count in reports.",
            "example": {"model": "qwen-turbo", "prompt_tokens": 120, "completion_tokens": 40},
        },
    )
    timestamp = fields.Moment(allow_none=True)


class UsageOut(Schema):
    """A stored entry."""

    id = plain.String(required=True)
    tenant_id = plain.String(required=True, allow_none=True)
    agent_id = plain.String(required=True, allow_none=True)
    user_id = plain.String(required=True, allow_none=True)
    action = plain.String(required=True)
    details = fields.Object(required=True)
    timestamp = fields.Moment(required=True, attribute="moment")


class UsageQuery(PageQuery):
    """GET /api/v2/usage"""

    page_size = fields.QueryInteger(
        load_default=None,
        validate=fields.between(1, 1000),
        metadata={"description": f"Of groups; {PAGE_SIZE} without it, and all of them in CSV."},
    )
    tenant_id = fields.Id(required=True)
    since = fields.Moment(data_key="from", metadata={"description": "Included."})
    until = fields.Moment(data_key="to", metadata={"description": "Excluded."})
    group_by = fields.String(validate=fields.one_of(*GROUPS))


class UsageTotals(Schema):
    """Sums; cost is a decimal as text."""

    requests = plain.Integer(required=True)
    errors = plain.Integer(required=True)
    tokens_in = plain.Integer(required=True)
    tokens_out = plain.Integer(required=True)
    cost = plain.String(required=True)


class UsageGroup(UsageTotals):
    """Sums of one group."""

    group = plain.String(required=True, allow_none=True)


class UsageReport(Ready):
    """Sums of a tenant's usage, in all and by group."""

    tenant_id = plain.String(required=True)
    group_by = plain.String(required=True, allow_none=True)
    totals = plain.Nested(UsageTotals, required=True)
    items = plain.List(plain.Nested(UsageGroup), required=True)
    pagination = plain.Nested(Pagination, required=True)


class BillingQuery(InputSchema):
    """GET /api/v2/tenants/{id}/billing"""

    month = fields.String(
        validate=validate.Regexp(_MONTH, error=NOT_MONTH),
        metadata={"description": "Of UTC; the current one by default.", "example": "2026-11"},
    )


class StatementTotal(Schema):
    """Sums; cost is a decimal as text, in the currency of the models' prices."""

    requests = plain.Integer(required=True)
    tokens_in = plain.Integer(required=True)
    tokens_out = plain.Integer(required=True)
    cost = plain.String(required=True, metadata={"example": "0.00042"})


class StatementItem(StatementTotal):
    """Sums of one model at one pair of prices, which are decimals as text per 1M tokens."""

    model = plain.String(required=True, allow_none=True)
    price_in = plain.String(required=True, allow_none=True, metadata={"example": "0.3"})
    price_out = plain.String(required=True, allow_none=True, metadata={"example": "0.6"})


class Statement(Schema):
    """What a month of a tenant's usage costs."""

    tenant_id = plain.String(required=True)
    month = plain.String(required=True, metadata={"example": "2026-11"})
    items = plain.List(plain.Nested(StatementItem), required=True)
    total = plain.Nested(StatementTotal, required=True)
