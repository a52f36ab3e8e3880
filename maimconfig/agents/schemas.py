"""Agents on the wire."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig import clock
from maimconfig.agents import configuration
from maimconfig.agents.look_up import AgentRow
from maimconfig.agents.models import AGENT_STATUSES, MAX_TAG_LENGTH, Agent
from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import FreeObject, InputSchema, Shaped

CONFIG_EXAMPLE = {
    "persona": {"personality": "耐心细致的客服", "reply_style": "简短、礼貌"},
    "bot_overrides": {"nickname": "小麦"},
    "config_overrides": {"chat": {"max_context_size": 24}},
}


def _tags() -> fields.Texts:
    tag = fields.Trimmed(low=1, high=MAX_TAG_LENGTH)
    return fields.Texts(items=50, text=tag, allow_none=True)


class AgentCreate(InputSchema):
    """POST /agents"""

    tenant_id = fields.Id(required=True)
    name = fields.Name(required=True, metadata={"example": "售后小麦"})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    template_id = fields.Id(allow_none=True)
    config = fields.Object(allow_none=True, metadata={"example": CONFIG_EXAMPLE})
    tags = _tags()


class AgentChange(InputSchema):
    """PUT /agents/{id}"""

    name = fields.Name(allow_none=True)
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    template_id = fields.Id(allow_none=True)
    config = fields.Object(
        allow_none=True, metadata={"description": "Merged into the stored one (RFC 7396)."}
    )
    status = fields.String(allow_none=True, validate=fields.one_of(*AGENT_STATUSES))
    tags = _tags()


class AgentClone(InputSchema):
    """POST /agents/{id}/clone"""

    name = fields.Name(required=True)
    tenant_id = fields.Id(allow_none=True)


class AgentsQuery(PageQuery):
    """GET /agents"""

    tenant_id = fields.Id(required=True)
    status = fields.String(validate=fields.one_of(*AGENT_STATUSES))
    tag = fields.String(validate=fields.length(1, MAX_TAG_LENGTH))
    q = fields.NamePart()


class AgentOut(Shaped):
    """An agent; secrets in its configuration are masked."""

    id = plain.String(required=True)
    agent_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_id = plain.String(required=True)
    name = plain.String(required=True)
    description = plain.String(required=True, allow_none=True)
    template_id = plain.String(required=True, allow_none=True)
    config = plain.Dict(required=True)
    tags = plain.List(plain.String(), required=True)
    status = plain.String(required=True)
    config_version = plain.Integer(required=True)
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)

    def shape(self, agent: Agent | AgentRow) -> dict[str, Any]:
        """An agent as services see it."""
        return {
            "id": agent.id,
            "agent_id": agent.id,
            "tenant_id": agent.tenant_id,
            "name": agent.name,
            "description": agent.description,
            "template_id": agent.template_id,
            "config": configuration.shown(agent.config),
            "tags": agent.tags,
            "status": agent.status,
            "config_version": agent.config_version,
            "created_at": clock.wire(agent.created_at),
            "updated_at": clock.wire(agent.updated_at),
        }


class OwnAgentCreate(InputSchema):
    """POST /api/v1/agents/"""

    name = fields.Name(required=True, metadata={"example": "售后小麦"})
    description = fields.String(allow_none=True, validate=fields.length(0, 5000))
    template_id = fields.Id(allow_none=True)
    config = fields.Object(allow_none=True, metadata={"example": CONFIG_EXAMPLE})
    tags = _tags()
    tenant_id = fields.Id(
        allow_none=True, metadata={"description": "One of the caller's; the first if absent."}
    )


class OwnAgentsQuery(InputSchema):
    """GET /api/v1/agents/"""

    skip = fields.QueryInteger(load_default=0, validate=fields.between(0, 10**9))
    limit = fields.QueryInteger(load_default=100, validate=fields.between(1, 100))


class OwnAgentOut(Shaped):
    """An agent as its owner sees it; secrets in its configuration are masked."""

    id = plain.String(required=True)
    tenant_id = plain.String(required=True)
    name = plain.String(required=True)
    description = plain.String(required=True, allow_none=True)
    config = plain.Dict(required=True)
    template_id = plain.String(required=True, allow_none=True)
    status = plain.String(required=True)
    tags = plain.List(plain.String(), required=True)

    def shape(self, agent: Agent | AgentRow) -> dict[str, Any]:
        """An agent as its owner sees it."""
        return {
            "id": agent.id,
            "tenant_id": agent.tenant_id,
            "name": agent.name,
            "description": agent.description,
            "config": configuration.shown(agent.config),
            "template_id": agent.template_id,
            "status": agent.status,
            "tags": agent.tags,
        }


class AgentDeleted(Schema):
    """What was deleted."""

    id = plain.String(required=True)
    agent_id = plain.String(required=True, attribute="id", dump_only=True)
    deleted_at = fields.Moment(required=True)


class Configuration(FreeObject):
    """A configuration; agent-config.csv lists the fields that are known."""


class ConfigQuery(InputSchema):
    """PUT /agents/{id}/config"""

    mode = fields.String(load_default="merge", validate=fields.one_of("merge", "replace"))


class EffectiveQuery(InputSchema):
    """GET /agents/{id}/config/effective"""

    explain = fields.QueryFlag(load_default=False)


class DiffQuery(InputSchema):
    """GET /agents/{id}/config/versions/{n}/diff"""

    to = fields.QueryInteger(required=True, validate=fields.between(1, 2**31 - 1))


class Rollback(InputSchema):
    """POST /agents/{id}/config/rollback"""

    version = fields.Integer(required=True, validate=fields.between(1, 2**31 - 1))


class ChangeOut(Schema):
    """A leaf that differs."""

    path = plain.String(required=True)
    op = plain.String(required=True, metadata={"enum": ["add", "remove", "replace"]})
    before = plain.Raw(metadata={"description": "Absent when added."})
    after = plain.Raw(metadata={"description": "Absent when removed."})


class VersionOut(Schema):
    """A saved revision of a configuration."""

    version = plain.Integer(required=True)
    agent_id = plain.String(required=True)
    action = plain.String(required=True)
    actor = plain.String(required=True)
    changes = plain.List(plain.Nested(ChangeOut), required=True)
    created_at = fields.Moment(required=True)


class VersionWithConfig(VersionOut):
    """A saved revision with the configuration itself, secrets masked."""

    config = plain.Function(
        lambda version: configuration.shown(version.config),
        required=True,
        metadata={"type": "object"},
    )


class VersionDiff(Schema):
    """What changed between two revisions."""

    agent_id = plain.String(required=True)
    version = plain.Integer(required=True)
    to = plain.Integer(required=True)
    changes = plain.List(plain.Nested(ChangeOut), required=True)
