"""Lists of agents, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from maimconfig.agents import look_up
from maimconfig.agents.look_up import AgentRow, FarRow
from maimconfig.agents.marks import ListState, Mark
from maimconfig.db.session import Session
from maimconfig.http.errors import TenantNotFound
from maimconfig.http.pagination import Page, stretch

# Rows before a page from which on it is looked for from a mark.
FAR = 1000


def find(
    session: Session, *, tenant_id: str, page: int, page_size: int, **filters: str | None
) -> Page[AgentRow]:
    """Agents of a tenant, newest first.

    Args:
        filters: `status`, `tag`, and `q`, a part of the name, in any case; None is no filter.

    Raises:
        TenantNotFound: there is no such tenant.
    """
    given = {name: value.casefold() if name == "q" else value
             for name, value in filters.items() if value}  # fmt: skip
    named = frozenset(given)
    skip = (page - 1) * page_size
    if skip >= FAR and not named:
        return _far_page(session, tenant_id, page, page_size, skip)
    database = session.runtime.database
    total = database.find(look_up.COUNT_OF_TENANT, tenant_id=tenant_id)
    if total is None:
        raise TenantNotFound
    if named:
        total = database.find(look_up.count(named), tenant_id=tenant_id, **given) or 0
    found = stretch(limit=page_size, offset=skip, total=total)
    rows = database.find_all(
        look_up.page(named, from_end=found.from_end),
        tenant_id=tenant_id, limit=found.limit, skip=found.skip, **given,
    )  # fmt: skip
    return Page(rows, page, page_size, total)


def of_owner(session: Session, owner_id: str, *, skip: int, limit: int) -> Sequence[AgentRow]:
    """The agents of all of a user's tenants, newest first."""
    database = session.runtime.database
    tenants = database.find_all(look_up.TENANTS_OF_OWNER, owner_id=owner_id)
    if len(tenants) != 1:
        return database.find_all(look_up.AGENTS_OF_OWNER, owner_id=owner_id, skip=skip, limit=limit)
    # Of one tenant an index has them in their order; of several they have to be sorted.
    only = tenants[0]
    found = stretch(limit=limit, offset=skip, total=only.agent_count)
    return database.find_all(
        look_up.page(from_end=found.from_end),
        tenant_id=only.id, limit=found.limit, skip=found.skip,
    )  # fmt: skip


def _far_page(
    session: Session, tenant_id: str, page: int, page_size: int, skip: int
) -> Page[AgentRow]:
    """A page so far from the newest that the way there is worth a mark, see `marks`."""
    database, marks = session.runtime.database, session.runtime.agent_marks
    state = database.find(look_up.STATE_OF_LIST, tenant_id=tenant_id)
    if state is None:
        raise TenantNotFound
    rows: list[FarRow] = []
    if skip < state.total:
        rows = _from_mark(session, tenant_id, state, skip, page_size) or database.find_all(
            look_up.FAR_PAGE, tenant_id=tenant_id, limit=page_size, skip=skip
        )
    if rows:
        for place, row in ((skip, rows[0]), (skip + len(rows) - 1, rows[-1])):
            marks.leave(tenant_id, row.state, Mark(place, row.moment, row.agent.id))
    return Page([row.agent for row in rows], page, page_size, state.total)


def _from_mark(
    session: Session, tenant_id: str, state: ListState, skip: int, limit: int
) -> list[FarRow]:
    """A far page, found from the nearest mark; empty when there is none, or it isn't good."""
    mark = session.runtime.agent_marks.nearest(tenant_id, state, skip)
    if mark is None:
        return []
    found = session.runtime.database.find_all(
        look_up.FAR_PAGE_FROM_MARK,
        tenant_id=tenant_id, moment=mark.moment, id=mark.id, skip=skip - mark.place, limit=limit,
    )  # fmt: skip
    # What was created or deleted just now has moved the mark's row to another place.
    return found if found and found[0].state == state else []
