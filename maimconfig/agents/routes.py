"""/api/v2/agents"""

from __future__ import annotations

from typing import Any

from maimconfig import clock
from maimconfig.agents import config_service, configuration, lists, schemas, service, versions
from maimconfig.agents.look_up import AgentRow
from maimconfig.agents.models import Agent, AgentConfigVersion
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import content_etag, expected_revisions, revision_etag
from maimconfig.http.context import note_tenant, session
from maimconfig.http.pagination import Page, PageQuery, page_of
from maimconfig.http.schema import changes_of

blp = Blueprint(
    "agents",
    __name__,
    style="envelope",
    url_prefix="/api/v2/agents",
    description="Agents and the layers of their configuration.",
)

UNKNOWN = (errors.AgentNotFound,)
CREATION = (
    errors.TenantNotFound,
    errors.TenantQuotaExceeded,
    errors.TemplateNotFound,
    errors.AgentNameTaken,
    errors.AgentConfigInvalid,
)


def _agent(agent_id: str) -> Agent:
    agent = service.get(session(), agent_id)
    note_tenant(agent.tenant_id)
    return agent


@blp.post("", creates=True, errors=CREATION)
@blp.arguments(schemas.AgentCreate)
@blp.response(200, schemas.AgentOut)
def create_agent(payload: dict[str, Any]) -> Agent:
    """Create an agent

    It is reported active for 12 hours.
    """
    note_tenant(payload["tenant_id"])
    return service.create(session(), **payload)


@blp.get("", errors=(errors.TenantNotFound,))
@blp.arguments(schemas.AgentsQuery, location="query")
@blp.response(200, page_of(schemas.AgentOut))
def list_agents(query: dict[str, Any]) -> Page[AgentRow]:
    """List the agents of a tenant, newest first"""
    note_tenant(query["tenant_id"])
    return lists.find(session(), **query)


@blp.get("/<id:agent_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.AgentOut)
def get_agent(agent_id: str) -> AgentRow:
    """Get an agent"""
    agent = service.look(session(), agent_id)
    note_tenant(agent.tenant_id)
    revision_etag(agent.revision)
    return agent


@blp.put("/<id:agent_id>", etag=True, errors=(*UNKNOWN, *CREATION[2:]))
@blp.arguments(schemas.AgentChange)
@blp.response(200, schemas.AgentOut)
def change_agent(payload: dict[str, Any], agent_id: str) -> Agent:
    """Change an agent

    A field that is null is emptied when it may be empty, and else left as it is.
    """
    changes = changes_of(payload, "description", "template_id")
    agent = service.change(session(), agent_id, changes, expected_revisions())
    note_tenant(agent.tenant_id)
    revision_etag(agent.revision)
    return agent


@blp.delete("/<id:agent_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.AgentDeleted)
def delete_agent(agent_id: str) -> dict[str, Any]:
    """Delete an agent with its keys, versions, plugin settings and heart-beats"""
    agent = service.remove(session(), agent_id, expected_revisions())
    note_tenant(agent.tenant_id)
    return {"id": agent.id, "deleted_at": clock.now()}


@blp.post("/<id:agent_id>/clone", creates=True, errors=(*UNKNOWN, *CREATION[:4]))
@blp.arguments(schemas.AgentClone)
@blp.response(200, schemas.AgentOut)
def clone_agent(payload: dict[str, Any], agent_id: str) -> Agent:
    """Create an agent with the configuration of this one"""
    agent = service.clone(session(), agent_id, **payload)
    note_tenant(agent.tenant_id)
    return agent


@blp.get("/<id:agent_id>/config", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.Configuration)
def get_config(agent_id: str) -> Any:
    """Get the agent's own configuration

    persona, bot_overrides and config_overrides are always there.
    """
    agent = _agent(agent_id)
    revision_etag(agent.revision)
    return configuration.with_sections(agent.config)


@blp.put("/<id:agent_id>/config", etag=True, errors=(*UNKNOWN, errors.AgentConfigInvalid))
@blp.arguments(schemas.ConfigQuery, location="query")
@blp.arguments(schemas.Configuration)
@blp.response(200, schemas.Configuration)
def change_config(query: dict[str, Any], payload: dict[str, Any], agent_id: str) -> Any:
    """Merge a partial configuration into the agent's (RFC 7396)

    Objects are merged deep, arrays replaced, null deletes; `?mode=replace` replaces all.
    """
    agent = config_service.update(
        session(),
        agent_id,
        payload,
        replace=query["mode"] == "replace",
        expected=expected_revisions(),
    )
    note_tenant(agent.tenant_id)
    revision_etag(agent.revision)
    return configuration.with_sections(agent.config)


@blp.get("/<id:agent_id>/config/effective", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.EffectiveQuery, location="query")
@blp.response(200, schemas.Configuration)
def get_effective_config(query: dict[str, Any], agent_id: str) -> Any:
    """Get what a runtime should use

    System defaults < template < the agent's own, merged. `?explain=1` adds, for each leaf, its
    value and the layer that it comes from.
    """
    agent = _agent(agent_id)
    found = config_service.effective(session(), agent, explained=query["explain"])
    content_etag(found)
    return found


@blp.get("/<id:agent_id>/config/versions", errors=UNKNOWN)
@blp.arguments(PageQuery, location="query")
@blp.response(200, page_of(schemas.VersionOut))
def list_versions(query: dict[str, Any], agent_id: str) -> Page[AgentConfigVersion]:
    """List the saved revisions of the configuration, newest first"""
    return versions.find(session(), _agent(agent_id), **query)


@blp.get("/<id:agent_id>/config/versions/<int:version>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.VersionWithConfig)
def get_version(agent_id: str, version: int) -> AgentConfigVersion:
    """Get a saved revision of the configuration"""
    found = versions.get(session(), _agent(agent_id), version)
    revision_etag(found.version)
    return found


@blp.get("/<id:agent_id>/config/versions/<int:version>/diff", errors=UNKNOWN)
@blp.arguments(schemas.DiffQuery, location="query")
@blp.response(200, schemas.VersionDiff)
def diff_versions(query: dict[str, Any], agent_id: str, version: int) -> dict[str, Any]:
    """What changed from one revision to another"""
    changes = versions.diff(session(), _agent(agent_id), version, query["to"])
    return {"agent_id": agent_id, "version": version, "to": query["to"], "changes": changes}


@blp.post("/<id:agent_id>/config/rollback", errors=UNKNOWN)
@blp.arguments(schemas.Rollback)
@blp.response(200, schemas.Configuration)
def roll_back(payload: dict[str, Any], agent_id: str) -> Any:
    """Save the configuration of an earlier revision as a new revision"""
    agent = config_service.rollback(session(), agent_id, payload["version"])
    note_tenant(agent.tenant_id)
    return configuration.with_sections(agent.config)
