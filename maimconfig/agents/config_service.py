"""Reading and changing the configuration of an agent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from maimconfig.agents import config_secrets, configuration, merge, service, versions
from maimconfig.agents.models import Agent
from maimconfig.audit import service as audit
from maimconfig.db import revisions
from maimconfig.db.session import Session
from maimconfig.templates.models import AgentTemplate


def update(
    session: Session,
    agent_id: str,
    config: dict[str, Any],
    *,
    replace: bool = False,
    expected: Collection[int] | None = None,
) -> Agent:
    """Merge a partial configuration into an agent's (RFC 7396), or replace all of it.

    Args:
        config: secrets in the clear; `********` keeps the stored one.
        expected: revisions of the agent that the caller allows.

    Raises:
        AgentNotFound: there is no such agent.
        AgentConfigInvalid: with the path of each field that is wrong.
        PreconditionFailed: the agent isn't of an expected revision.
    """
    agent = service.locked(session, agent_id)
    revisions.require(agent.revision, expected)
    if replace:
        fresh = configuration.sealed(session, config, agent.config)
    else:
        fresh = configuration.patched(session, agent.config, config)
    return _save(session, agent, fresh, "replace" if replace else "update")


def rollback(session: Session, agent_id: str, version: int) -> Agent:
    """Save an earlier version's configuration as a new version.

    Raises:
        AgentNotFound, VersionNotFound: there is no such agent or version.
    """
    agent = service.locked(session, agent_id)
    return _save(session, agent, versions.get(session, agent, version).config, "rollback")


def effective(session: Session, agent: Agent, *, explained: bool = False) -> dict[str, Any]:
    """System defaults < template < the agent's own, merged; secrets masked.

    Args:
        explained: give {config, explain}, which tells for each leaf its value and the layer that
            it comes from.
    """
    layers = _layers(session, agent, configuration.shown)
    merged = merge.effective(layers)
    return {"config": merged, "explain": merge.explain(layers)} if explained else merged


def opened(
    session: Session, own: Mapping[str, Any], template: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The effective configuration with its secrets in the clear, for whoever asks an agent's
    providers; never show it.

    Args:
        own, template: as they are stored.
    """

    def unsealed(stored: Mapping[str, Any]) -> dict[str, Any]:
        return config_secrets.unseal(stored, session.runtime.vault)

    return merge.effective(configuration.layers(session, own, template, unsealed))


def _layers(
    session: Session, agent: Agent, shown: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Any:
    template = session.get(AgentTemplate, agent.template_id) if agent.template_id else None
    return configuration.layers(session, agent.config, template.config if template else None, shown)


def _save(session: Session, agent: Agent, config: dict[str, Any], action: str) -> Agent:
    before = agent.config_version
    versions.save(session, agent, config, action)
    if agent.config_version != before:
        session.flush()
        audit.record(
            session,
            "agent.config",
            agent.id,
            tenant_id=agent.tenant_id,
            before={"config_version": before},
            after={"config_version": agent.config_version, "action": action},
        )
    return agent
