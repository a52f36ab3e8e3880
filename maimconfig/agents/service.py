"""Agents: create, find, change, clone, delete."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from maimconfig.activity import service as activity
from maimconfig.agents import configuration, look_up, versions
from maimconfig.agents.look_up import AgentRow
from maimconfig.agents.models import MAX_TAG_LENGTH, Agent, AgentTag
from maimconfig.api_keys.models import ApiKey
from maimconfig.audit import service as audit
from maimconfig.db import revisions
from maimconfig.db.ids import new_id
from maimconfig.db.owned import delete_owned
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    AgentConfigInvalid,
    AgentNameTaken,
    AgentNotFound,
    TenantQuotaExceeded,
)
from maimconfig.i18n import Text
from maimconfig.templates import service as templates
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant

TAG_LENGTH = Text(
    f"长度必须在1到{MAX_TAG_LENGTH}之间", f"Length must be between 1 and {MAX_TAG_LENGTH}"
)


def create(
    session: Session,
    *,
    tenant_id: str,
    name: str,
    description: str | None = None,
    template_id: str | None = None,
    config: dict[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    id: str | None = None,
) -> Agent:
    """Create an agent; it is reported active for 12 h.

    Args:
        id: of an agent that moves here, which no other has; a fresh one when None.
        config: its own layer; secrets in the clear.
        tags: those of `config` when None.

    Raises:
        TenantNotFound, TemplateNotFound: unknown, or the template is of another tenant.
        TenantQuotaExceeded: the tenant has as many agents as it may.
        AgentNameTaken: names are unique in the tenant.
        AgentConfigInvalid: with the path of each field that is wrong.
    """
    sealed = configuration.sealed(session, config or {}, {}, "config.")
    if tags is None:
        tags = _tags_of(sealed)
    return _store(
        session,
        Agent(
            id=id or new_id("agent"),
            tenant_id=tenant_id,
            name=name,
            description=description,
            template_id=template_id,
            config=sealed,
            tags=_distinct(tags),
        ),
    )


def clone(session: Session, agent_id: str, *, name: str, tenant_id: str | None = None) -> Agent:
    """Create an agent with another one's configuration, secrets included.

    Args:
        tenant_id: of the new agent; the same tenant when None.

    Raises:
        AgentNotFound: there is none to clone.
        TenantNotFound, TemplateNotFound, TenantQuotaExceeded, AgentNameTaken: as in `create`.
    """
    source = get(session, agent_id)
    return _store(
        session,
        Agent(
            id=new_id("agent"),
            tenant_id=source.tenant_id if tenant_id is None else tenant_id,
            name=name,
            description=source.description,
            template_id=source.template_id,
            config=source.config,
            tags=source.tags,
        ),
    )


def get(session: Session, agent_id: str, *, tenant_id: str | None = None) -> Agent:
    """An agent by id.

    Args:
        tenant_id: whose it must be; any when None.

    Raises:
        AgentNotFound: there is none, or it is of another tenant.
    """
    agent = session.get(Agent, agent_id)
    if agent is None or tenant_id not in (None, agent.tenant_id):
        raise AgentNotFound
    return agent


def locked(session: Session, agent_id: str, *, alone: bool = False) -> Agent:
    """An agent that nobody else may touch until the end of the unit, for a change.

    Args:
        alone: its tenant's counters will be changed.

    Raises:
        AgentNotFound: there is none.
    """
    owner = select(Agent.tenant_id).where(Agent.id == agent_id).scalar_subquery()
    tenants.hold(session, owner, alone=alone)
    agent = session.get(Agent, agent_id, with_for_update=True)
    if agent is None:
        raise AgentNotFound
    return agent


def owned(session: Session, owner_id: str, agent_id: str, *, lock: bool = False) -> Agent:
    """An agent of one of a user's tenants.

    Args:
        lock: nobody else may change the tenant or what is its own until the end of the unit: what
            is known of the agent from here on stays true.

    Raises:
        AgentNotFound: there is none, or it is somebody else's.
    """
    if lock:
        owner = select(Agent.tenant_id).where(Agent.id == agent_id).scalar_subquery()
        tenants.hold(session, owner, alone=True)
    own = (
        select(Agent)
        .join(Tenant, Tenant.id == Agent.tenant_id)
        .where(Agent.id == agent_id, Tenant.owner_id == owner_id)
    )
    agent = session.scalars(own).first()
    if agent is None:
        raise AgentNotFound
    return agent


def look(session: Session, agent_id: str) -> AgentRow:
    """An agent to be shown.

    Raises:
        AgentNotFound: there is none.
    """
    agent = session.runtime.database.find(look_up.AGENT_BY_ID, agent_id=agent_id)
    if agent is None:
        raise AgentNotFound
    return agent


def change(
    session: Session,
    agent_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> Agent:
    """Change an agent.

    Args:
        changes: new values by field; a `config` is merged into the stored one (RFC 7396).
        expected: revisions that the caller allows.

    Raises:
        AgentNotFound, TemplateNotFound, AgentNameTaken, AgentConfigInvalid: as in `create`.
        PreconditionFailed: it isn't of an expected revision.
    """
    agent = locked(session, agent_id)
    revisions.require(agent.revision, expected)
    before = shown(agent)
    rest = dict(changes)
    patch = rest.pop("config", None)
    if rest.get("template_id") is not None:
        templates.visible(session, rest["template_id"], agent.tenant_id)
    if "tags" in rest:
        rest["tags"] = _distinct(rest["tags"])
    for field, value in rest.items():
        setattr(agent, field, value)
    if patch is not None:
        merged = configuration.patched(session, agent.config, patch, "config.")
        versions.save(session, agent, merged, "update")
    _finish_change(session, agent, before)
    return agent


def remove(session: Session, agent_id: str, expected: Collection[int] | None = None) -> Agent:
    """Delete an agent with its keys, versions, plugin settings and heart-beats.

    Raises:
        AgentNotFound: there is none.
        PreconditionFailed: it isn't of an expected revision.
    """
    agent = locked(session, agent_id, alone=True)
    revisions.require(agent.revision, expected)
    # The keys are locked before they are counted, so that the tenant's count stays right when
    # one of them is deleted at the same time.
    keys = session.scalars(
        select(ApiKey.id).where(ApiKey.agent_id == agent_id).with_for_update()
    ).all()
    audit.record(session, "agent.delete", agent_id, tenant_id=agent.tenant_id, before=shown(agent))
    delete_owned(session, Agent, agent_id)
    session.execute(delete(Agent).where(Agent.id == agent_id))
    tenants.count_down(session, agent.tenant_id, "agent_count")
    if keys:
        tenants.count_down(session, agent.tenant_id, "api_key_count", len(keys))
    return agent


def shown(agent: Agent) -> dict[str, Any]:
    """An agent as the audit log keeps it, secrets masked."""
    fields = ("tenant_id", "name", "description", "template_id", "tags", "status",
              "config_version")  # fmt: skip
    return {
        **{field: getattr(agent, field) for field in fields},
        "config": configuration.shown(agent.config),
    }


def _store(session: Session, agent: Agent) -> Agent:
    tenant = tenants.get(session, agent.tenant_id, lock=True)
    if agent.template_id is not None:
        templates.visible(session, agent.template_id, tenant.id)
    limit = tenants.quota(session, tenant.tenant_config, "max_agents")
    if not tenants.count_up(session, tenant, "agent_count", limit):
        raise TenantQuotaExceeded(f"max_agents: {limit}")
    agent.status = "active"
    agent.config_version = 1
    session.add(agent)
    _flush(session, agent)
    versions.record(session, agent, {}, "create")
    _set_tags(session, agent)
    session.flush()
    activity.store(
        session,
        tenant_id=tenant.id,
        agent_id=agent.id,
        ttl_seconds=activity.FIRST_TTL_SECONDS,
    )
    audit.record(session, "agent.create", agent.id, tenant_id=tenant.id, after=shown(agent))
    return agent


def _finish_change(session: Session, agent: Agent, before: dict[str, Any]) -> None:
    if not session.is_modified(agent):
        return
    _flush(session, agent)
    if before["tags"] != agent.tags:
        _set_tags(session, agent)
    audit.record(
        session, "agent.update", agent.id, tenant_id=agent.tenant_id,
        before=before, after=shown(agent),
    )  # fmt: skip


def _set_tags(session: Session, agent: Agent) -> None:
    session.execute(delete(AgentTag).where(AgentTag.agent_id == agent.id))
    session.add_all(
        AgentTag(agent_id=agent.id, tenant_id=agent.tenant_id, tag=tag) for tag in agent.tags
    )


def _tags_of(config: dict[str, Any]) -> list[str]:
    """The tags that a configuration brings along; they are kept as strictly as an agent's own."""
    tags = [tag.strip() for tag in config.get("tags") or ()]
    wrong = {
        f"config.tags.{index}": [TAG_LENGTH]
        for index, tag in enumerate(tags)
        if not 1 <= len(tag) <= MAX_TAG_LENGTH
    }
    if wrong:
        raise AgentConfigInvalid(details=wrong)
    return tags


def _distinct(tags: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(tags))


def _flush(session: Session, agent: Agent) -> None:
    name = agent.name  # a flush that fails leaves nothing to read in the object
    try:
        session.flush()
    except IntegrityError as error:
        raise AgentNameTaken(internal=f"agent name {name!r} is taken") from error
