"""Chat sessions are changed and ended, and their conversations handed over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.conversations import handoff, staff
from maimconfig.conversations import service as conversations
from maimconfig.conversations.models import Conversation
from maimconfig.db import revisions
from maimconfig.db.session import Session
from maimconfig.http.errors import ChatSessionNotFound, SessionClosed
from maimconfig.sessions.callers import Opened
from maimconfig.sessions.models import OPEN_STATUSES, ChatSession
from maimconfig.sessions.service import idle_after


def change(
    session: Session,
    session_id: str,
    changes: Mapping[str, Any],
    expected: Collection[int] | None = None,
    *,
    by: Opened | None = None,
) -> tuple[ChatSession, Conversation]:
    """Change a session's metadata, context or status.

    Args:
        changes: `metadata`, `context` and `status`, which may become closed, or active again
            from idle.
        expected: revisions that the caller allows.
        by: who does it.

    Raises:
        ChatSessionNotFound: there is none.
        RoleForbidden: staff do it to what another person has.
        PreconditionFailed: it isn't of an expected revision.
        SessionClosed: it has ended, or is to be opened again.
    """
    chat, conversation = _locked(session, session_id, by)
    revisions.require(chat.revision, expected)
    before = _audited(chat)
    changed = False
    for name, column in (("metadata", "details"), ("context", "context")):
        if changes.get(name) is not None and changes[name] != getattr(chat, column):
            setattr(chat, column, dict(changes[name]))
            changed = True
    status = changes.get("status")
    if status is not None and status != chat.status:
        _set_status(session, chat, status)
        changed = True
    if changed:
        chat.revision += 1
        conversations.touched(session, conversation)
        session.flush()  # which sets updated_at
        _record(session, chat, "update", before, by)
    return chat, conversation


def close(
    session: Session,
    session_id: str,
    expected: Collection[int] | None = None,
    *,
    by: Opened | None = None,
) -> None:
    """End a session by hand; its conversation stays. One that has ended stays as it is.

    Args:
        expected: revisions that the caller allows.
        by: who does it; None for the service itself.

    Raises:
        ChatSessionNotFound: there is none.
        RoleForbidden: staff do it to what another person has.
        PreconditionFailed: it isn't of an expected revision.
    """
    chat, conversation = _locked(session, session_id, by)
    revisions.require(chat.revision, expected)
    before = _audited(chat)
    if chat.status in OPEN_STATUSES:
        _set_status(session, chat, "closed")
        chat.revision += 1
        conversations.touched(session, conversation)
        _record(session, chat, "close", before, by)


def switch_agent(
    session: Session, used: Opened, agent_type: str, reason: str | None = None, *,
    why: str = "switched",
) -> None:  # fmt: skip
    """Have the AI or a person answer in a session's conversation, as who uses it asks.

    Args:
        reason: what the caller gives as its reason.
        why: which of `handoff.REASONS` it is.

    Raises:
        ChatSessionNotFound: there is none.
        RoleForbidden: staff do it to what another person has.
        SessionClosed: it has ended, for the contact.
        TransitionForbidden: its conversation is closed.
    """
    chat, conversation = _locked(session, used.session_id, used)
    if used.side == "staff":
        with staff.audited(session, conversation, "switch"):
            handoff.switch(session, conversation, agent_type, reason, why=why)
        return
    if chat.status not in OPEN_STATUSES:
        raise SessionClosed
    handoff.switch(session, conversation, agent_type, reason, why=why)


def _audited(chat: ChatSession) -> dict[str, Any]:
    return {"status": chat.status, "metadata": chat.details, "context": chat.context}


def _record(
    session: Session, chat: ChatSession, verb: str, before: Mapping[str, Any], by: Opened | None
) -> None:
    """What staff do to a contact's session is kept; what contacts do with their own isn't."""
    if by is not None and by.side == "staff":
        audit.record(
            session, f"session.{verb}", chat.id, tenant_id=chat.tenant_id,
            before=before, after=_audited(chat),
        )  # fmt: skip


def _locked(
    session: Session, session_id: str, by: Opened | None
) -> tuple[ChatSession, Conversation]:
    """Its conversation first, as messages do it."""
    of = select(ChatSession.conversation_id).where(ChatSession.id == session_id)
    conversation_id = session.scalar(of)
    if conversation_id is None:
        raise ChatSessionNotFound
    conversation = conversations.locked(session, conversation_id)
    if by is not None and by.side == "staff":
        staff.require_ones_own(conversation, by.user_id, by.may_manage)
    chat = session.get(ChatSession, session_id, with_for_update=True, populate_existing=True)
    if chat is None:
        raise ChatSessionNotFound
    return chat, conversation


def _set_status(session: Session, chat: ChatSession, status: str) -> None:
    if chat.status not in OPEN_STATUSES or status not in ("active", "closed"):
        raise SessionClosed
    now = clock.now()
    chat.status = status
    if status == "closed":
        chat.due_at = None
    else:
        chat.last_activity_at = now
        chat.due_at = now + idle_after(session)
