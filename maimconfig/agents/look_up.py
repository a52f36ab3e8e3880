"""How agents are read: one, or a page of a list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, bindparam, func, select

from maimconfig.agents.models import Agent, AgentTag
from maimconfig.db.look_up import LookUp
from maimconfig.tenants.models import Tenant


class AgentRow(NamedTuple):
    """What is shown of an agent; the names are the model's."""

    id: str
    tenant_id: str
    name: str
    description: str | None
    template_id: str | None
    config: dict[str, Any]
    tags: list[str]
    status: str
    config_version: int
    revision: int
    created_at: datetime
    updated_at: datetime


_COLUMNS = tuple(getattr(Agent, name) for name in AgentRow._fields)
_NEWEST = (Agent.created_at.desc(), Agent.id.desc())

AGENT_BY_ID: LookUp[AgentRow] = LookUp(
    select(*_COLUMNS).where(Agent.id == bindparam("agent_id")), AgentRow
)

AGENTS_OF_OWNER: LookUp[AgentRow] = LookUp(
    select(*_COLUMNS)
    .join(Tenant, Tenant.id == Agent.tenant_id)
    .where(Tenant.owner_id == bindparam("owner_id"))
    .order_by(*_NEWEST)
    .limit(bindparam("limit", type_=Integer))
    .offset(bindparam("skip", type_=Integer)),
    AgentRow,
)

COUNT_OF_TENANT: LookUp[int] = LookUp(
    select(Tenant.agent_count).where(Tenant.id == bindparam("tenant_id")), int
)

_FILTERS = {
    "status": Agent.status == bindparam("status"),
    "tag": Agent.id.in_(
        select(AgentTag.agent_id).where(
            AgentTag.tenant_id == bindparam("tenant_id"), AgentTag.tag == bindparam("tag")
        )
    ),
    "q": func.instr(Agent.folded_name, bindparam("q")) > 0,
}


@lru_cache
def page(filters: frozenset[str]) -> LookUp[AgentRow]:
    """A page of a tenant's agents, newest first.

    Args:
        filters: which of status, tag and q are given.
    """
    # The index alone finds the ids of a far page; only its own rows are then read.
    cut = (
        _ids(filters)
        .order_by(*_NEWEST)
        .limit(bindparam("limit", type_=Integer))
        .offset(bindparam("skip", type_=Integer))
        .subquery()
    )
    rows = select(*_COLUMNS).join(cut, Agent.id == cut.c.id).order_by(*_NEWEST)
    return LookUp(rows, AgentRow)


@lru_cache
def count(filters: frozenset[str]) -> LookUp[int]:
    """How many agents of a tenant there are."""
    return LookUp(select(func.count()).select_from(_ids(filters).subquery()), int)


def _ids(filters: Collection[str]) -> Select[Any]:
    wanted = [_FILTERS[name] for name in sorted(filters)]
    return select(Agent.id).where(Agent.tenant_id == bindparam("tenant_id"), *wanted)
