"""/api/v2/agent-activity"""

from __future__ import annotations

from typing import Any

from maimconfig.activity import schemas, service
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import note_tenant, session
from maimconfig.http.errors import ActivityForbidden, ActivityUnknown
from maimconfig.http.schema import TenantQuery

blp = Blueprint(
    "agent-activity",
    __name__,
    style="envelope",
    url_prefix="/api/v2/agent-activity",
    description="Which agents are alive.",
)


@blp.put("", errors=(ActivityUnknown, ActivityForbidden))
@blp.arguments(schemas.HeartBeat)
@blp.response(200, schemas.ActivityOut)
def beat(payload: dict[str, Any]) -> dict[str, Any]:
    """Report that an agent is alive"""
    note_tenant(payload["tenant_id"])
    return service.beat(session(), **payload)


@blp.get("", errors=(ActivityUnknown, ActivityForbidden))
@blp.arguments(TenantQuery, location="query")
@blp.response(200, schemas.ActivityList)
def list_alive(query: dict[str, Any]) -> Any:
    """List the agents of a tenant that are alive"""
    note_tenant(query["tenant_id"])
    return service.alive(session(), query["tenant_id"])
