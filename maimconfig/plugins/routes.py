"""/api/v1/plugins"""

from __future__ import annotations

from typing import Any

from flask import Response

from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import note_tenant, session
from maimconfig.plugins import schemas, service

blp = Blueprint(
    "plugins",
    __name__,
    style="plain",
    url_prefix="/api/v1/plugins",
    description="Plugin settings of tenants and of agents.",
)

UNKNOWN = (errors.TenantNotFound, errors.AgentNotFound)


@blp.get("/settings", errors=UNKNOWN)
@blp.arguments(schemas.PluginQuery, location="query")
@blp.response(200, schemas.PluginOut(many=True))
def list_settings(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List a tenant's settings, overlaid by those of one of its agents"""
    note_tenant(query["tenant_id"])
    return service.overlaid(session(), **query)


@blp.post("/settings", creates=True, errors=UNKNOWN)
@blp.arguments(schemas.PluginQuery, location="query")
@blp.arguments(schemas.PluginStore)
@blp.response(200, schemas.PluginOut)
def store_setting(query: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Set a plugin's setting of a tenant, or of one of its agents"""
    note_tenant(query["tenant_id"])
    return service.store(session(), **query, **payload)


@blp.delete("/settings", errors=(*UNKNOWN, errors.PluginSettingNotFound))
@blp.arguments(schemas.PluginRemoval, location="query")
@blp.response(204)
def remove_setting(query: dict[str, Any]) -> Response:
    """Delete a plugin's setting of a tenant, or of one of its agents"""
    note_tenant(query["tenant_id"])
    service.remove(session(), **query)
    return Response(status=204)
