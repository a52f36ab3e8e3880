"""/api/v1/plugins on the public plane: plugin settings of a user's own agents"""

from __future__ import annotations

from typing import Any

from flask import Response

from maimconfig.agents import service as agents
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import login, note_tenant, session
from maimconfig.plugins import schemas, service

blp = Blueprint(
    "own-plugins",
    __name__,
    style="plain",
    url_prefix="/api/v1/plugins",
    description="Plugin settings of the caller's own agents.",
)

UNKNOWN = (errors.AgentNotFound,)


def _scope(agent_id: str, *, lock: bool = False) -> dict[str, Any]:
    agent = agents.owned(session(), login().user_id, agent_id, lock=lock)
    note_tenant(agent.tenant_id)
    return {"tenant_id": agent.tenant_id, "agent_id": agent.id}


@blp.get("/settings", errors=UNKNOWN)
@blp.arguments(schemas.OwnPluginQuery, location="query")
@blp.response(200, schemas.PluginOut(many=True))
def list_own_settings(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List an agent's settings, over those of its tenant"""
    return service.overlaid(session(), **_scope(query["agent_id"]))


@blp.post("/settings", creates=True, errors=UNKNOWN)
@blp.arguments(schemas.OwnPluginQuery, location="query")
@blp.arguments(schemas.PluginStore)
@blp.response(200, schemas.PluginOut)
def store_own_setting(query: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Set a plugin's setting of an agent"""
    return service.store(session(), **_scope(query["agent_id"], lock=True), **payload)


@blp.delete("/settings", errors=(*UNKNOWN, errors.PluginSettingNotFound))
@blp.arguments(schemas.OwnPluginRemoval, location="query")
@blp.response(204)
def remove_own_setting(query: dict[str, Any]) -> Response:
    """Delete a plugin's setting of an agent"""
    scope = _scope(query["agent_id"], lock=True)
    service.remove(session(), **scope, plugin_name=query["plugin_name"])
    return Response(status=204)
