"""/api/v2/agent-templates"""

from __future__ import annotations

from typing import Any

from maimconfig import clock
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import note_tenant, session
from maimconfig.http.pagination import Page, page_of
from maimconfig.http.schema import changes_of
from maimconfig.templates import schemas, service
from maimconfig.templates.models import AgentTemplate

blp = Blueprint(
    "agent-templates",
    __name__,
    style="envelope",
    url_prefix="/api/v2/agent-templates",
    description="The middle layer of a configuration.",
)

CHANGE = (errors.TemplateNotFound, errors.TemplateReadOnly)


@blp.post(
    "",
    creates=True,
    errors=(errors.TenantNotFound, errors.TemplateNameTaken, errors.AgentConfigInvalid),
)
@blp.arguments(schemas.TemplateCreate)
@blp.response(200, schemas.TemplateOut)
def create_template(payload: dict[str, Any]) -> AgentTemplate:
    """Create a template for one tenant, or for all"""
    note_tenant(payload.get("tenant_id"))
    return service.create(session(), **payload)


@blp.get("")
@blp.arguments(schemas.TemplatesQuery, location="query")
@blp.response(200, page_of(schemas.TemplateOut))
def list_templates(query: dict[str, Any]) -> Page[AgentTemplate]:
    """List the templates for all, and those of one tenant"""
    note_tenant(query.get("tenant_id"))
    return service.find(session(), **query)


@blp.get("/<id:template_id>", etag=True, errors=(errors.TemplateNotFound,))
@blp.response(200, schemas.TemplateOut)
def get_template(template_id: str) -> AgentTemplate:
    """Get a template"""
    template = service.get(session(), template_id)
    revision_etag(template.revision)
    return template


@blp.put(
    "/<id:template_id>",
    etag=True,
    errors=(*CHANGE, errors.TemplateNameTaken, errors.AgentConfigInvalid),
)
@blp.arguments(schemas.TemplateChange)
@blp.response(200, schemas.TemplateOut)
def change_template(payload: dict[str, Any], template_id: str) -> AgentTemplate:
    """Change a template that isn't built in

    A field that is null is emptied when it may be empty, and else left as it is.
    """
    changes = changes_of(payload, "description", "category")
    template = service.change(session(), template_id, changes, expected_revisions())
    revision_etag(template.revision)
    return template


@blp.delete("/<id:template_id>", etag=True, errors=(*CHANGE, errors.TemplateInUse))
@blp.response(200, schemas.TemplateDeleted)
def delete_template(template_id: str) -> dict[str, Any]:
    """Delete a template that no agent uses"""
    template = service.remove(session(), template_id, expected_revisions())
    return {"id": template.id, "deleted_at": clock.now()}
