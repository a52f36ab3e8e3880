"""Agent templates."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError

from maimconfig.agents import configuration
from maimconfig.agents.models import Agent
from maimconfig.audit import service as audit
from maimconfig.db import revisions
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    TemplateInUse,
    TemplateNameTaken,
    TemplateNotFound,
    TemplateReadOnly,
)
from maimconfig.http.pagination import Page, paginate
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants import service as tenants


def create(
    session: Session,
    *,
    name: str,
    config: dict[str, Any],
    tenant_id: str | None = None,
    description: str | None = None,
    category: str | None = None,
    tags: list[str] | None = None,
    id: str | None = None,
) -> AgentTemplate:
    """Create a template of one tenant, or of all.

    Args:
        id: of a template that moves here, which no other has; a fresh one when None.

    Raises:
        TenantNotFound: there is no such tenant.
        TemplateNameTaken: names are unique in the tenant, and among those for all.
        AgentConfigInvalid: with the path of each field that is wrong.
    """
    if tenant_id is not None:
        tenants.get(session, tenant_id, hold=True)
    template = AgentTemplate(
        id=id or new_id("tmpl"),
        tenant_id=tenant_id,
        scope=tenant_id or "",
        name=name,
        description=description,
        category=category,
        tags=tags or [],
        config=configuration.sealed(session, config, {}, "config."),
        is_builtin=False,
    )
    session.add(template)
    _flush(session, template)
    audit.record(
        session, "template.create", template.id, tenant_id=tenant_id, after=shown(template)
    )
    return template


def get(session: Session, template_id: str, *, lock: bool = False) -> AgentTemplate:
    """A template by id.

    Raises:
        TemplateNotFound: there is none.
    """
    template = session.get(AgentTemplate, template_id, with_for_update=lock or None)
    if template is None:
        raise TemplateNotFound
    return template


def visible(session: Session, template_id: str, tenant_id: str) -> AgentTemplate:
    """A template that a tenant may use: its own, or one for all; it stays until the unit's end.

    Raises:
        TemplateNotFound: there is none, or it is another tenant's.
    """
    template = session.get(AgentTemplate, template_id, with_for_update={"read": True})
    if template is None or template.tenant_id not in (None, tenant_id):
        raise TemplateNotFound
    return template


def find(
    session: Session,
    *,
    page: int,
    page_size: int,
    tenant_id: str | None = None,
    category: str | None = None,
) -> Page[AgentTemplate]:
    """Templates for all, and those of one tenant when it is named; newest first."""
    rows = select(AgentTemplate.id).where(
        or_(AgentTemplate.scope == "", AgentTemplate.scope == (tenant_id or ""))
    )
    if category is not None:
        rows = rows.where(AgentTemplate.category == category)
    return paginate(session, AgentTemplate, rows, page=page, page_size=page_size)


def change(
    session: Session,
    template_id: str,
    changes: dict[str, Any],
    expected: Collection[int] | None = None,
) -> AgentTemplate:
    """Change a template; agents that are made from it see the change at once.

    Args:
        changes: new values by field; a `config` replaces the stored one.
        expected: revisions that the caller allows.

    Raises:
        TemplateNotFound, TemplateNameTaken, AgentConfigInvalid: as in `create`.
        TemplateReadOnly: it is built in.
        PreconditionFailed: it isn't of an expected revision.
    """
    template = _changeable(session, template_id, expected)
    before = shown(template)
    for field, value in changes.items():
        if field == "config":
            value = configuration.sealed(session, value, template.config, "config.")
        setattr(template, field, value)
    if session.is_modified(template):
        _flush(session, template)
        audit.record(
            session, "template.update", template.id, tenant_id=template.tenant_id,
            before=before, after=shown(template),
        )  # fmt: skip
    return template


def remove(
    session: Session, template_id: str, expected: Collection[int] | None = None
) -> AgentTemplate:
    """Delete a template that no agent uses.

    Raises:
        TemplateNotFound: there is none.
        TemplateReadOnly: it is built in.
        TemplateInUse: an agent is made from it.
        PreconditionFailed: it isn't of an expected revision.
    """
    template = _changeable(session, template_id, expected)
    if session.scalar(select(Agent.id).where(Agent.template_id == template_id).limit(1)):
        raise TemplateInUse
    audit.record(
        session, "template.delete", template.id, tenant_id=template.tenant_id,
        before=shown(template),
    )  # fmt: skip
    session.execute(delete(AgentTemplate).where(AgentTemplate.id == template_id))
    return template


def shown(template: AgentTemplate) -> dict[str, Any]:
    """A template as the audit log keeps it, secrets masked."""
    fields = ("tenant_id", "name", "description", "category", "tags")
    return {
        **{field: getattr(template, field) for field in fields},
        "config": configuration.shown(template.config),
    }


def _changeable(
    session: Session, template_id: str, expected: Collection[int] | None
) -> AgentTemplate:
    template = get(session, template_id, lock=True)
    if template.is_builtin:
        raise TemplateReadOnly
    revisions.require(template.revision, expected)
    return template


def _flush(session: Session, template: AgentTemplate) -> None:
    name = template.name  # a flush that fails leaves nothing to read in the object
    try:
        session.flush()
    except IntegrityError as error:
        raise TemplateNameTaken(internal=f"template name {name!r} is taken") from error
