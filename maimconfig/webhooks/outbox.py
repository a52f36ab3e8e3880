"""The outbox: which process sends what, and what became of it.

A claim moves `due_at` forward by the time that an attempt may take, judged by the UPDATE itself:
of two processes one gets a delivery, and when that one dies it is due again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select, update

from maimconfig import clock
from maimconfig.db.ids import new_id
from maimconfig.db.look_up import LookUp
from maimconfig.db.session import Session
from maimconfig.webhooks import outcomes
from maimconfig.webhooks.models import Delivery, Webhook
from maimconfig.webhooks.places import Places
from maimconfig.webhooks.types import Due, Ended

# Longer than an attempt can take, with the time to store its outcome.
LEASE = timedelta(seconds=60)
# What an endpoint had no place for in so long is given up, or what waits for one that takes less
# than it is told of would grow for ever. No back-off is as long.
TOO_LATE = timedelta(days=2)

_UNSYNCHRONIZED: Any = {"synchronize_session": False}

ANY_DUE: LookUp[str] = LookUp(
    select(Delivery.id).where(Delivery.due_at <= bindparam("now")).limit(1), str
)


def turn(
    session: Session, ended: Sequence[Ended], under_way: Collection[Due], places: int
) -> list[Due]:
    """Store how attempts ended, and take what is due.

    Args:
        ended: since the last turn.
        under_way: what this process is sending.
        places: how many more it may send at once.

    Returns:
        what it has to send now.
    """
    if ended:
        outcomes.settle(session, ended)
    return _take(session, under_way, places) if places > 0 else []


def _take(session: Session, under_way: Collection[Due], places: int) -> list[Due]:
    now, claim = clock.now(), new_id("claim")
    free = Places(under_way)
    taken: list[str] = []
    while len(taken) < places:
        rows = _due(session, now, free.full, places - len(taken))
        if not rows:
            break
        wanted = [
            row.id
            for row in _without_hopeless(session, now, rows, free.full)
            if free.take(row.tenant_id, row.webhook_id, is_failing=row.failing_since is not None)
        ]
        _update_due(session, now, wanted, {"due_at": now + LEASE, "claim": claim})
        taken += wanted
    return _claimed(session, claim, taken) if taken else []


def _without_hopeless(
    session: Session, now: datetime, rows: Sequence[Any], full: set[str]
) -> list[Any]:
    """Give up what waits for a webhook that was switched off, and what has waited too long."""
    off = [row for row in rows if not row.is_active]
    late = [row for row in rows if row.is_active and row.due_at <= now - TOO_LATE]
    _give_up(session, now, [row.id for row in off], "inactive")
    _give_up(session, now, [row.id for row in late], "expired")
    # The rest of what waits for them has time until the next turn: the database is locked now.
    full.update(row.webhook_id for row in off + late)
    return [row for row in rows if row.is_active and row.due_at > now - TOO_LATE]


def _due(session: Session, now: datetime, full: Collection[str], number: int) -> Sequence[Any]:
    rows = (
        select(
            Delivery.id,
            Delivery.tenant_id,
            Delivery.webhook_id,
            Delivery.due_at,
            Webhook.failing_since,
            Webhook.is_active,
        )
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.due_at <= now, Delivery.webhook_id.not_in(sorted(full)))
        .order_by(Delivery.due_at)
        .limit(number)
    )
    return session.execute(rows).all()


def _give_up(session: Session, now: datetime, ids: list[str], error: str) -> None:
    given_up = {"due_at": None, "status": "failed", "error": error, "settled_at": now}
    _update_due(session, now, ids, given_up)


def _update_due(session: Session, now: datetime, ids: list[str], values: dict[str, Any]) -> None:
    # Who was faster has moved due_at, so that of two processes one gets a delivery.
    changed = update(Delivery).where(Delivery.id.in_(ids), Delivery.due_at <= now).values(values)
    if ids:
        session.execute(changed, execution_options=_UNSYNCHRONIZED)


def _claimed(session: Session, claim: str, ids: list[str]) -> list[Due]:
    rows: Sequence[Any] = session.execute(
        select(
            Delivery.id,
            Delivery.tenant_id,
            Delivery.webhook_id,
            Delivery.claim,
            Delivery.attempts,
            Delivery.body,
            Webhook.url,
            Webhook.sealed_secret,
            Webhook.failing_since.is_not(None),
        )
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id.in_(ids), Delivery.claim == claim)
    ).all()
    return [Due(*row) for row in rows]
