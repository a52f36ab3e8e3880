"""How the agent of a chat is read: in one query, with all that a reply depends on."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, select

from maimconfig.agents.models import Agent
from maimconfig.db.look_up import LookUp
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants.models import Tenant


class AskedRow(NamedTuple):
    """A tenant and, when it has the agent that is asked for, that.

    Attributes:
        agent_id: None when the tenant has no such agent.
        config, template_config: the two layers as they are stored.
    """

    tenant_status: str
    tenant_config: dict[str, Any]
    agent_id: str | None
    name: str
    agent_status: str
    config: dict[str, Any]
    template_config: dict[str, Any] | None


ASKED: LookUp[AskedRow] = LookUp(
    select(
        Tenant.status,
        Tenant.tenant_config,
        Agent.id,
        Agent.name,
        Agent.status,
        Agent.config,
        AgentTemplate.config,
    )
    .select_from(Tenant)
    .outerjoin(Agent, and_(Agent.id == bindparam("agent_id"), Agent.tenant_id == Tenant.id))
    .outerjoin(AgentTemplate, AgentTemplate.id == Agent.template_id)
    .where(Tenant.id == bindparam("tenant_id")),
    AskedRow,
)
