"""Sessions become idle and then expire, on time: done by one process of many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from maimconfig import clock
from maimconfig.conversations.models import Conversation
from maimconfig.conversations.service import tell
from maimconfig.db import leases
from maimconfig.db.session import Session
from maimconfig.sessions.models import ChatSession
from maimconfig.sessions.service import expires_after, idle_after

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

LEASE = "session_expiry"
LASTS = timedelta(seconds=10)
BATCH = 200


def expire_due(runtime: Runtime, owner: str | None = None, at_most: int = 50) -> int:
    """Change the sessions whose time has come.

    An idle service only reads: the lease is taken when there is something to do.

    Args:
        owner: who does it; this process unless another is named.
        at_most: batches; what is left then is for the next time.

    Returns:
        how many were changed.
    """
    owner = owner or leases.this_process()
    changed = 0
    for _ in range(at_most):
        due = runtime.read(_due)
        if not due:
            break
        done = runtime.write(lambda session, due=due: _change(session, owner, due))  # type: ignore[misc]
        if done is None:
            break
        changed += done
    return changed


def _due(session: Session) -> Sequence[tuple[str, str]]:
    found = (
        select(ChatSession.id, ChatSession.conversation_id)
        .where(ChatSession.due_at <= clock.now())
        .order_by(ChatSession.due_at)
        .limit(BATCH)
    )
    return [(row.id, row.conversation_id) for row in session.execute(found)]


def _change(session: Session, owner: str, due: Sequence[tuple[str, str]]) -> int | None:
    """Change a batch; None when another process does it."""
    if not leases.take(session, LEASE, owner, LASTS):
        return None
    now = clock.now()
    conversations = sorted({conversation_id for _, conversation_id in due})
    # Locked first, as messages do it: none is stored between the look and the change.
    _lock(session, conversations)
    rows = session.scalars(
        select(ChatSession)
        .where(ChatSession.id.in_([session_id for session_id, _ in due]), ChatSession.due_at <= now)
        .with_for_update()
    ).all()
    moved = {row.conversation_id for row in rows if _move(session, row, now)}
    if moved:
        told = update(Conversation).where(Conversation.id.in_(sorted(moved)))
        session.execute(
            told.values(revision=Conversation.revision + 1),
            execution_options={"synchronize_session": False},
        )
    for conversation_id in moved:
        tell(session, conversation_id)
    return len(rows)


def _lock(session: Session, conversations: Sequence[str]) -> None:
    found = select(Conversation.id).where(Conversation.id.in_(conversations))
    session.execute(found.order_by(Conversation.id).with_for_update()).all()


def _move(session: Session, row: ChatSession, now: datetime) -> bool:
    """Change what is due, and set when it is next; whether the status changed."""
    idle_at = row.last_activity_at + idle_after(session)
    expires_at = row.last_activity_at + expires_after(session)
    if expires_at <= now:
        status, due_at = "expired", None
    elif idle_at <= now:
        status, due_at = "idle", expires_at
    else:
        status, due_at = row.status, min(idle_at, expires_at)
    row.due_at = due_at
    if status == row.status:
        return False
    row.status = status
    row.revision += 1
    return True
