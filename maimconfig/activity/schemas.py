"""Heart-beats on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import fields as plain

from maimconfig import clock
from maimconfig.activity.service import MAX_TTL_SECONDS
from maimconfig.http import fields
from maimconfig.http.schema import InputSchema, Ready, Shaped


class HeartBeat(InputSchema):
    """PUT /agent-activity"""

    tenant_id = fields.Id(required=True)
    agent_id = fields.Id(required=True)
    ttl_seconds = fields.Integer(
        required=True, validate=fields.between(1, MAX_TTL_SECONDS), metadata={"example": 300}
    )


class ActivityOut(Shaped):
    """A heart-beat."""

    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    last_seen_at = fields.Moment(required=True)
    expires_at = fields.Moment(required=True)
    ttl_seconds = plain.Integer(required=True)

    def shape(self, beat: Mapping[str, Any]) -> dict[str, Any]:
        """A heart-beat as it is shown."""
        return {
            "tenant_id": beat["tenant_id"],
            "agent_id": beat["agent_id"],
            "last_seen_at": clock.wire(beat["last_seen_at"]),
            "expires_at": clock.wire(beat["expires_at"]),
            "ttl_seconds": beat["ttl_seconds"],
        }


class ActivityList(Ready):
    """Heart-beats that have not expired."""

    items = plain.List(plain.Nested(ActivityOut), required=True)
    count = plain.Integer(required=True)

    def dump(self, beats: Sequence[Mapping[str, Any]], *, many: bool | None = None) -> Any:
        """The heart-beats and their number."""
        return {"items": _SHOWN.dump(beats, many=True), "count": len(beats)}


_SHOWN = ActivityOut()
