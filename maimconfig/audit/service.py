"""Record changes and read them back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from maimconfig import clock
from maimconfig.audit.models import AuditLog
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.pagination import Page, paginate

# What `record` is told of. An object whose very id is one of these words isn't found by it.
KINDS = frozenset(
    ("agent", "api_key", "chat_stream", "contact", "conversation", "login_session",
     "plugin_setting", "session", "template", "tenant", "user", "webhook")
)  # fmt: skip


def record(
    session: Session,
    action: str,
    resource_id: str,
    *,
    tenant_id: str | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Keep a change in the transaction that makes it.

    Args:
        action: `<resource>.<verb>`, such as `agent.update`.
        resource_id: of the object.
        tenant_id: whose object it is.
        before, after: the object with its secrets masked; of an update only what differs is
            kept.
    """
    if before is not None and after is not None:
        changed = [
            key
            for key in {**before, **after}
            # As they are stored: 1, 1.0 and True are three values.
            if orjson.dumps(before.get(key)) != orjson.dumps(after.get(key))
        ]
        before = {key: before.get(key) for key in changed}
        after = {key: after.get(key) for key in changed}
    session.add(
        AuditLog(
            id=new_id("audit"),
            tenant_id=tenant_id,
            actor=session.actor.name,
            address=session.actor.address,
            request_id=session.actor.request_id,
            action=action,
            resource_type=action.partition(".")[0],
            resource_id=resource_id,
            before=before,
            after=after,
            created_at=clock.now(),
        )
    )


def find(
    session: Session,
    *,
    page: int,
    page_size: int,
    tenant_id: str | None = None,
    resource: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[AuditLog]:
    """Changes, newest first.

    Args:
        resource: a kind of object (`agent`) or an object's id.
        since, until: from (included) and to (excluded).
    """
    rows = select(AuditLog.id)
    if tenant_id is not None:
        # One object has few entries and a tenant many: its index isn't to be taken for both.
        is_object = resource is not None and resource not in KINDS
        owner = AuditLog.tenant_id.concat("") if is_object else AuditLog.tenant_id
        rows = rows.where(owner == tenant_id)
    if resource is not None:
        # One of the two: by OR neither database finds them in the order of an index.
        named = AuditLog.resource_type if resource in KINDS else AuditLog.resource_id
        rows = rows.where(named == resource)
    if actor is not None:
        rows = rows.where(AuditLog.actor == actor)
    if since is not None:
        rows = rows.where(AuditLog.created_at >= since)
    if until is not None:
        rows = rows.where(AuditLog.created_at < until)
    whole = (tenant_id, resource, actor, since, until) == (None,) * 5
    total = session.runtime.audit_count.total(session) if whole else None
    return paginate(session, AuditLog, rows, page=page, page_size=page_size, total=total)
