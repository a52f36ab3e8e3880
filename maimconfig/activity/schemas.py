"""Heart-beats on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.activity.service import MAX_TTL_SECONDS
from maimconfig.http import fields
from maimconfig.http.schema import InputSchema


class HeartBeat(InputSchema):
    """PUT /agent-activity"""

    tenant_id = fields.Id(required=True)
    agent_id = fields.Id(required=True)
    ttl_seconds = fields.Integer(
        required=True, validate=fields.between(1, MAX_TTL_SECONDS), metadata={"example": 300}
    )


class ActivityOut(Schema):
    """A heart-beat."""

    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    last_seen_at = fields.Moment(required=True)
    expires_at = fields.Moment(required=True)
    ttl_seconds = plain.Integer(required=True)


class ActivityList(Schema):
    """Heart-beats that have not expired."""

    items = plain.List(plain.Nested(ActivityOut), required=True)
    count = plain.Integer(required=True)
