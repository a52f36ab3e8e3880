"""How agents are read: one, or a page of a list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, String, bindparam, func, select, type_coerce

from maimconfig.agents.marks import ListState
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
_OLDEST = (Agent.created_at.asc(), Agent.id.asc())


def _cut(ids: Select[Any], *columns: Any, from_end: bool = False) -> Select[Any]:
    """A page: the index alone finds its ids; only its own rows are then read."""
    cut = (
        ids.order_by(*(_OLDEST if from_end else _NEWEST))
        .limit(bindparam("limit", type_=Integer))
        .offset(bindparam("skip", type_=Integer))
        .subquery()
    )
    return select(*columns).join(cut, Agent.id == cut.c.id).order_by(*_NEWEST)


AGENT_BY_ID: LookUp[AgentRow] = LookUp(
    select(*_COLUMNS).where(Agent.id == bindparam("agent_id")), AgentRow
)


class OwnTenant(NamedTuple):
    """A tenant of a user, and how many agents it has."""

    id: str
    agent_count: int


# Two are enough to know whether there is just one.
TENANTS_OF_OWNER: LookUp[OwnTenant] = LookUp(
    select(Tenant.id, Tenant.agent_count).where(Tenant.owner_id == bindparam("owner_id")).limit(2),
    OwnTenant,
)

AGENTS_OF_OWNER: LookUp[AgentRow] = LookUp(
    _cut(
        select(Agent.id)
        .join(Tenant, Tenant.id == Agent.tenant_id)
        .where(Tenant.owner_id == bindparam("owner_id")),
        *_COLUMNS,
    ),
    AgentRow,
)

COUNT_OF_TENANT: LookUp[int] = LookUp(
    select(Tenant.agent_count).where(Tenant.id == bindparam("tenant_id")), int
)

_OF_TENANT = Agent.tenant_id == bindparam("tenant_id")
_TOTAL = select(Tenant.agent_count).where(Tenant.id == bindparam("tenant_id")).scalar_subquery()
_NEWEST_ID = select(Agent.id).where(_OF_TENANT).order_by(*_NEWEST).limit(1).scalar_subquery()

STATE_OF_LIST: LookUp[ListState] = LookUp(
    select(Tenant.agent_count, _NEWEST_ID).where(Tenant.id == bindparam("tenant_id")), ListState
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
def page(filters: frozenset[str] = frozenset(), *, from_end: bool = False) -> LookUp[AgentRow]:
    """A page of a tenant's agents, newest first.

    Args:
        filters: which of status, tag and q are given.
        from_end: `skip` counts from the oldest one, see `pagination.stretch`.
    """
    return LookUp(_cut(_ids(filters), *_COLUMNS, from_end=from_end), AgentRow)


@lru_cache
def count(filters: frozenset[str]) -> LookUp[int]:
    """How many agents of a tenant there are."""
    return LookUp(select(func.count()).select_from(_ids(filters).subquery()), int)


def _ids(filters: Collection[str]) -> Select[Any]:
    wanted = [_FILTERS[name] for name in sorted(filters)]
    return select(Agent.id).where(Agent.tenant_id == bindparam("tenant_id"), *wanted)


class FarRow(NamedTuple):
    """A row of a far page, and the list in which it was found.

    Attributes:
        moment: its created_at, as the driver gives it and takes it again.
    """

    agent: AgentRow
    moment: Any
    state: ListState


def _far_row(*values: Any) -> FarRow:
    *columns, moment, total, newest = values
    return FarRow(AgentRow(*columns), moment, ListState(total, newest))


_moment = bindparam("moment", type_=String)
_FAR_COLUMNS = (*_COLUMNS, type_coerce(Agent.created_at, String), _TOTAL, _NEWEST_ID)
_FROM_MARK = (
    type_coerce(Agent.created_at, String) <= _moment,
    (type_coerce(Agent.created_at, String) < _moment) | (Agent.id <= bindparam("id")),
)

FAR_PAGE: LookUp[FarRow] = LookUp(_cut(_ids(()), *_FAR_COLUMNS), _far_row)
FAR_PAGE_FROM_MARK: LookUp[FarRow] = LookUp(
    _cut(_ids(()).where(*_FROM_MARK), *_FAR_COLUMNS), _far_row
)
