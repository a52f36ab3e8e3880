"""What becomes of a delivery, and of its webhook, after an attempt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, bindparam, select, update

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.db.session import Session
from maimconfig.webhooks import schedule
from maimconfig.webhooks.models import Delivery, Webhook
from maimconfig.webhooks.types import Ended

log = structlog.get_logger(__name__)

_UNSYNCHRONIZED: Any = {"synchronize_session": False}
_DELIVERIES: Any = Delivery.__table__

# Who holds another claim by now, after a lease that ended or a redelivery, tells the outcome.
_STORE = update(_DELIVERIES).where(
    _DELIVERIES.c.id == bindparam("of_id"), _DELIVERIES.c.claim == bindparam("of_claim")
)


def settle(session: Session, ended: Sequence[Ended]) -> None:
    """Store how attempts ended; the deliveries that failed are due again, or given up.

    A webhook is switched off when its endpoint says that it is gone (410), or when for a whole
    back-off nothing has reached it: one that fails gets an attempt at a time, so what waits for it
    would grow for as long as it was waited for a delivery to have had all of its own.
    """
    rows = [_stored(one) for one in ended]
    # A tenant's deletion takes its webhooks before their deliveries; so does this.
    missed = _note_failing(session, ended)
    gone = {one.due.webhook_id for one in ended if one.answer.error == "gone"}
    for webhook_id in sorted(gone | _hopeless(session, missed)):
        _switch_off(session, webhook_id, at_once=webhook_id in gone)
    session.connection().execute(_STORE, rows)


def _stored(one: Ended) -> dict[str, Any]:
    answer = one.answer
    attempts = one.due.attempts + 1
    failed = answer.error is not None
    wait = schedule.delay(attempts) if failed and answer.error != "gone" else None
    return {
        "of_id": one.due.id,
        "of_claim": one.due.claim,
        "status": "delivered" if not failed else "failed" if wait is None else "pending",
        "attempts": attempts,
        "due_at": None if wait is None else one.moment + wait,
        "claim": None,
        "response_status": answer.status,
        "error": answer.error,
        "duration_ms": answer.duration_ms,
        "last_attempt_at": one.moment,
        "settled_at": one.moment if wait is None else None,
    }


def _note_failing(session: Session, ended: Sequence[Ended]) -> set[str]:
    """Note which webhooks were reached; those that weren't are returned."""
    reached = {one.due.webhook_id for one in ended if one.answer.error is None}
    missed = {one.due.webhook_id for one in ended} - reached
    _set_failing(session, reached, Webhook.failing_since.is_not(None), None)
    _set_failing(session, missed, Webhook.failing_since.is_(None), clock.now())
    return missed


def _set_failing(
    session: Session, ids: Collection[str], unless_so: ColumnElement[bool], since: datetime | None
) -> None:
    if ids:
        noted = update(Webhook).where(Webhook.id.in_(sorted(ids)), unless_so)
        # updated_at tells of changes that people make.
        values = {"failing_since": since, "updated_at": Webhook.updated_at}
        session.execute(noted.values(values), execution_options=_UNSYNCHRONIZED)


def _hopeless(session: Session, missed: Collection[str]) -> set[str]:
    if not missed:
        return set()
    long_ago = clock.now() - schedule.WHOLE_TIME
    found = select(Webhook.id).where(
        Webhook.id.in_(sorted(missed)), Webhook.is_active, Webhook.failing_since <= long_ago
    )
    return set(session.scalars(found))


def _switch_off(session: Session, webhook_id: str, *, at_once: bool) -> None:
    webhook = session.get(Webhook, webhook_id, with_for_update=True, populate_existing=True)
    if webhook is None or not webhook.is_active:
        return
    now = clock.now()
    since = webhook.failing_since
    if at_once or (since is not None and since <= now - schedule.WHOLE_TIME):
        webhook.is_active = False
        webhook.disabled_at = now
        session.flush()
        audit.record(
            session, "webhook.disable", webhook.id, tenant_id=webhook.tenant_id,
            before={"is_active": True}, after={"is_active": False},
        )  # fmt: skip
        log.warning("webhook.disabled", webhook_id=webhook.id, tenant_id=webhook.tenant_id)
