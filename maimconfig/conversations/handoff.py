"""Who answers: the AI or a person, and which. All of it on a conversation that is locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from maimconfig import clock
from maimconfig.conversations import announcing, service, transitions
from maimconfig.conversations.models import Conversation
from maimconfig.db import leases
from maimconfig.db.session import Session
from maimconfig.http.errors import ConversationTaken, UserNotFound
from maimconfig.i18n import Text
from maimconfig.users import presence
from maimconfig.users.models import StaffPresence, User
from maimconfig.users.roles import ROLES, may

# Why a conversation is with a person.
REASONS = (
    "requested", "keyword", "switched", "provider_failed", "quota_exceeded", "not_active",
    "taken_over", "assigned",
)  # fmt: skip

WAITING = Text("正在为您转接人工客服，请稍候。", "A person will be with you shortly.")

# Who may be given a conversation.
_ANSWERING = tuple(role for role in ROLES if may(role, "message.send"))


def to_person(
    session: Session, conversation: Conversation, reason: str, *, comment: str | None = None
) -> None:
    """Hand a conversation to a person: the AI keeps silent from now on, and the contact is told.

    It waits as pending, or goes to who is there and least busy where auto-assignment is on.
    What the AI owed is owed no longer. One that people have already stays as it is.

    Args:
        reason: one of `REASONS`.
        comment: what the caller gave as its reason.

    Raises:
        TransitionForbidden: it is closed.
    """
    if conversation.current_agent_type == "human":
        return
    found = _least_busy(session, conversation) if session.runtime.settings.auto_assign else None
    _give(session, conversation, found, comment or reason)
    details = {"event": "handoff", "reason": reason, "en": WAITING.en}
    service.add_system_message(session, conversation, str(WAITING), details)


def take_over(session: Session, conversation: Conversation, user_id: str) -> None:
    """Give a conversation to the user who asks; of two at once one wins.

    Does nothing for who has it already.

    Raises:
        ConversationTaken: somebody else has it.
        TransitionForbidden: it is closed.
    """
    if conversation.assignee_id == user_id:
        return
    if conversation.assignee_id is not None:
        raise ConversationTaken(details=_assignee(session, conversation.assignee_id))
    _give(session, conversation, user_id, "taken_over")


def release(session: Session, conversation: Conversation) -> None:
    """Give a conversation back to the AI: open, and nobody's.

    Raises:
        TransitionForbidden: it is closed.
    """
    if conversation.current_agent_type == "ai":
        return
    transitions.require(conversation.status, "open")
    was = announcing.standing(conversation)
    conversation.status = "open"
    conversation.resolved_at = None
    conversation.current_agent_type = "ai"
    conversation.assignee_id = None
    service.touched(session, conversation)
    announcing.changed(session, conversation, was)


def assign(session: Session, conversation: Conversation, user_id: str | None) -> None:
    """Give a conversation to a user, whoever has it now.

    Args:
        user_id: None has a person's conversation wait for the next person; the AI keeps its own.

    Raises:
        UserNotFound: there is no such active user who may answer in this tenant.
        TransitionForbidden: it is closed.
    """
    able = _able(conversation.tenant_id).where(User.id == user_id)
    if user_id is not None and session.scalar(able) is None:
        raise UserNotFound
    if conversation.assignee_id != user_id:
        _give(session, conversation, user_id, "assigned")


def switch(
    session: Session, conversation: Conversation, agent_type: str, comment: str | None = None, *,
    why: str = "switched",
) -> None:  # fmt: skip
    """Have the AI or a person answer, as the contact or staff asks.

    Args:
        comment: what the caller gave as its reason.
        why: one of `REASONS`.

    Raises:
        TransitionForbidden: it is closed.
    """
    if agent_type == "ai":
        release(session, conversation)
    else:
        to_person(session, conversation, why, comment=comment)


def asks_for_person(content: str, keywords: Sequence[str]) -> bool:
    """Whether a message has a keyword that asks for a person.

    Args:
        keywords: case-folded.
    """
    folded = content.casefold()
    return any(word in folded for word in keywords)


def _give(session: Session, conversation: Conversation, user_id: str | None, reason: str) -> None:
    """To a person, or to whoever takes it over."""
    status = "open" if user_id is not None else "pending"
    # What was resolved is open again before it waits.
    before = "open" if conversation.status == "resolved" else conversation.status
    transitions.require(before, status)
    was = announcing.standing(conversation)
    conversation.status = status
    conversation.resolved_at = None
    conversation.assignee_id = user_id
    if conversation.current_agent_type == "ai":
        conversation.current_agent_type = "human"
        conversation.handed_off_at = clock.now()
        conversation.handoff_reason = reason[:200]
        service.owe_nothing(session, conversation)
    service.touched(session, conversation)
    announcing.changed(session, conversation, was)


def _least_busy(session: Session, conversation: Conversation) -> str | None:
    """Who is there and has the fewest open conversations; who isn't there when nobody is."""
    # Two who look at the same moment would both choose the same one.
    leases.alone(session, "auto_assign")
    online = presence.is_online(StaffPresence.seen_at)
    busy = (
        select(func.count())
        .select_from(Conversation)
        .where(Conversation.assignee_id == User.id, Conversation.status == "open")
        .scalar_subquery()
    )
    there = select(StaffPresence.user_id).where(StaffPresence.user_id == User.id, online).exists()
    ranked = _able(conversation.tenant_id).order_by(there.desc(), busy, User.id)
    found: str | None = session.scalar(ranked.limit(1))
    return found


def _able(tenant_id: str) -> Any:
    return select(User.id).where(
        User.role.in_(_ANSWERING), User.status == "active", presence.serves(User.id, tenant_id)
    )


def _assignee(session: Session, user_id: str) -> dict[str, list[str]]:
    name = session.scalar(select(User.username).where(User.id == user_id))
    return {"assignee_id": [user_id], "assignee": [name or user_id]}
