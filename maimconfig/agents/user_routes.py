"""/api/v1/agents: a user's own agents and their keys"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response

from maimconfig import permissions
from maimconfig.agents import lists, schemas, service
from maimconfig.agents.look_up import AgentRow
from maimconfig.agents.models import Agent
from maimconfig.api_keys import schemas as key_schemas
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import current, login, note_tenant, session
from maimconfig.http.schema import changes_of
from maimconfig.tenants import service as tenants

blp = Blueprint(
    "own-agents",
    __name__,
    style="plain",
    url_prefix="/api/v1/agents",
    description="The caller's own agents and their keys.",
)

UNKNOWN = (errors.AgentNotFound,)
CREATION = (
    errors.TenantNotFound,
    errors.TenantQuotaExceeded,
    errors.TemplateNotFound,
    errors.AgentNameTaken,
    errors.AgentConfigInvalid,
)


def _own(agent_id: str, *, lock: bool = False) -> Agent:
    agent = service.owned(session(), login().user_id, agent_id, lock=lock)
    note_tenant(agent.tenant_id)
    return agent


@blp.get("/")
@blp.arguments(schemas.OwnAgentsQuery, location="query")
@blp.response(200, schemas.OwnAgentOut(many=True))
def list_own_agents(query: dict[str, Any]) -> Sequence[AgentRow]:
    """List the agents of all of the caller's tenants, newest first"""
    return lists.of_owner(session(), login().user_id, **query)


@blp.post("/", creates=True, errors=CREATION)
@blp.arguments(schemas.OwnAgentCreate)
@blp.response(200, schemas.OwnAgentOut)
def create_own_agent(payload: dict[str, Any]) -> Agent:
    """Create an agent in the caller's first tenant, or in the one named"""
    tenant = tenants.owned(session(), login().user_id, payload.pop("tenant_id", None))
    note_tenant(tenant.id)
    return service.create(session(), tenant_id=tenant.id, **payload)


@blp.get("/<id:agent_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.OwnAgentOut)
def get_own_agent(agent_id: str) -> Agent:
    """Get an agent"""
    agent = _own(agent_id)
    revision_etag(agent.revision)
    return agent


@blp.put("/<id:agent_id>", etag=True, errors=(*UNKNOWN, *CREATION[2:]))
@blp.arguments(schemas.AgentChange)
@blp.response(200, schemas.OwnAgentOut)
def change_own_agent(payload: dict[str, Any], agent_id: str) -> Agent:
    """Change an agent; a config is merged into the stored one (RFC 7396)"""
    _own(agent_id, lock=True)
    changes = changes_of(payload, "description", "template_id")
    agent = service.change(session(), agent_id, changes, expected_revisions())
    revision_etag(agent.revision)
    return agent


@blp.delete("/<id:agent_id>", etag=True, errors=UNKNOWN)
@blp.response(204)
def delete_own_agent(agent_id: str) -> Response:
    """Delete an agent with its keys and settings"""
    _own(agent_id, lock=True)
    service.remove(session(), agent_id, expected_revisions())
    return Response(status=204)


@blp.get("/<id:agent_id>/api_keys", errors=UNKNOWN)
@blp.response(200, key_schemas.OwnKeyOut(many=True))
def list_own_keys(agent_id: str) -> Sequence[ApiKey]:
    """List the keys of an agent, newest first"""
    current().headers["Cache-Control"] = "no-store"
    return api_keys.of_agent(session(), _own(agent_id).id)


@blp.post(
    "/<id:agent_id>/api_keys",
    creates=True,
    errors=(*UNKNOWN, errors.KeyQuotaExceeded, errors.KeyNameTaken, errors.PermissionsInvalid),
)
@blp.arguments(key_schemas.OwnKeyCreate)
@blp.response(200, key_schemas.NewOwnKeyOut)
def create_own_key(payload: dict[str, Any], agent_id: str) -> ApiKey:
    """Create a key of an agent; the answer shows it in full"""
    agent = _own(agent_id, lock=True)
    permissions.check(payload.get("permissions"))
    current().headers["Cache-Control"] = "no-store"
    return api_keys.create(session(), tenant_id=agent.tenant_id, agent_id=agent.id, **payload)


@blp.delete("/<id:agent_id>/api_keys/<id:key_id>", errors=(*UNKNOWN, errors.KeyNotFound))
@blp.response(204)
def delete_own_key(agent_id: str, key_id: str) -> Response:
    """Delete a key of an agent"""
    agent = _own(agent_id, lock=True)
    if api_keys.get(session(), key_id).agent_id != agent.id:
        raise errors.KeyNotFound
    api_keys.remove(session(), key_id)
    return Response(status=204)
