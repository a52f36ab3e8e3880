"""The audit log on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery


class AuditQuery(PageQuery):
    """GET /audit-logs"""

    tenant_id = fields.Id()
    resource = fields.String(
        validate=fields.length(1, 160),
        metadata={"description": "A kind of object (`agent`) or an object's id."},
    )
    actor = fields.String(validate=fields.length(1, 50))
    since = fields.Moment(data_key="from", metadata={"description": "Included."})
    until = fields.Moment(data_key="to", metadata={"description": "Excluded."})


class AuditOut(Schema):
    """A change; secrets are masked."""

    id = plain.String(required=True)
    tenant_id = plain.String(required=True, allow_none=True)
    actor = plain.String(required=True)
    address = plain.String(required=True, allow_none=True)
    request_id = plain.String(required=True, allow_none=True)
    action = plain.String(required=True)
    resource_type = plain.String(required=True)
    resource_id = plain.String(required=True)
    before = fields.Object(required=True, allow_none=True)
    after = fields.Object(required=True, allow_none=True)
    created_at = fields.Moment(required=True)
