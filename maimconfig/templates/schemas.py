"""Agent templates on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.agents import configuration
from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema


class TemplateChange(InputSchema):
    """PUT /agent-templates/{id}"""

    name = fields.Name(allow_none=True)
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    category = fields.String(allow_none=True, validate=fields.length(0, 50))
    tags = fields.Texts(items=50, text=fields.Trimmed(low=1, high=50), allow_none=True)
    config = fields.Object(
        allow_none=True, metadata={"description": "Replaces the stored one; ******** keeps."}
    )


class TemplateCreate(InputSchema):
    """POST /agent-templates"""

    name = fields.Name(required=True, metadata={"example": "售后客服"})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    category = fields.String(allow_none=True, validate=fields.length(0, 50))
    tags = fields.Texts(items=50, text=fields.Trimmed(low=1, high=50), allow_none=True)
    config = fields.Object(
        required=True, metadata={"example": {"persona": {"personality": "耐心细致的客服"}}}
    )
    tenant_id = fields.Id(allow_none=True, metadata={"description": "null: for all tenants."})


class TemplatesQuery(PageQuery):
    """GET /agent-templates"""

    tenant_id = fields.Id(metadata={"description": "Lists this tenant's own templates too."})
    category = fields.String()


class TemplateOut(Schema):
    """A template; secrets in its configuration are masked."""

    id = plain.String(required=True)
    template_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_id = plain.String(required=True, allow_none=True)
    name = plain.String(required=True)
    description = plain.String(required=True, allow_none=True)
    category = plain.String(required=True, allow_none=True)
    tags = plain.List(plain.String(), required=True)
    config = plain.Function(
        lambda template: configuration.shown(template.config),
        required=True,
        metadata={"type": "object"},
    )
    is_builtin = plain.Boolean(required=True)
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)


class TemplateDeleted(Schema):
    """What was deleted."""

    id = plain.String(required=True)
    template_id = plain.String(required=True, attribute="id", dump_only=True)
    deleted_at = fields.Moment(required=True)
