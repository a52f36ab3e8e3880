"""The history of an agent's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from maimconfig import clock
from maimconfig.agents import configuration
from maimconfig.agents.models import Agent, AgentConfigVersion
from maimconfig.db.session import Session
from maimconfig.http.errors import VersionNotFound
from maimconfig.http.pagination import Page


def save(session: Session, agent: Agent, config: dict[str, Any], action: str) -> None:
    """Give an agent another configuration, as a new version; the same one makes none.

    Args:
        agent: locked for the change.
        config: sealed.
        action: update, replace or rollback.
    """
    before = agent.config
    if not configuration.changes(before, config):
        return
    agent.config = config
    agent.config_version += 1
    record(session, agent, before, action)


def record(session: Session, agent: Agent, before: Mapping[str, Any], action: str) -> None:
    """Keep an agent's present configuration as the version that it has the number of."""
    session.add(
        AgentConfigVersion(
            agent_id=agent.id,
            version=agent.config_version,
            tenant_id=agent.tenant_id,
            action=action,
            actor=session.actor.name,
            changes=configuration.changes(before, agent.config),
            config=agent.config,
            created_at=clock.now(),
        )
    )


def get(session: Session, agent: Agent, version: int) -> AgentConfigVersion:
    """A version by its number.

    Raises:
        VersionNotFound: the agent has none of that number.
    """
    found = session.get(AgentConfigVersion, (agent.id, version)) if version < 2**31 else None
    if found is None:
        raise VersionNotFound
    return found


def find(session: Session, agent: Agent, *, page: int, page_size: int) -> Page[AgentConfigVersion]:
    """Versions of an agent, newest first."""
    own = AgentConfigVersion.agent_id == agent.id
    total = session.scalar(select(func.count()).select_from(AgentConfigVersion).where(own)) or 0
    items = session.scalars(
        select(AgentConfigVersion)
        .where(own)
        .order_by(AgentConfigVersion.version.desc())
        .limit(page_size)
        .offset((page - 1) * page_size)
    ).all()
    return Page(items, page, page_size, total)


def diff(session: Session, agent: Agent, version: int, to: int) -> list[dict[str, Any]]:
    """What changed from one version to another, secrets masked."""
    return configuration.changes(
        get(session, agent, version).config, get(session, agent, to).config
    )
