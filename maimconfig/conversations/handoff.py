"""Who answers: the AI or a person, and which. All of it on a conversation that is locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from maimconfig.conversations.models import Conversation
from maimconfig.db.session import Session

Reason = Literal[
    "requested", "keyword", "switched", "provider_failed", "quota_exceeded", "not_active"
]


def to_person(
    session: Session, conversation: Conversation, reason: str, *, comment: str | None = None
) -> None:
    """Hand a conversation to a person: the AI keeps silent from now on.

    It waits as pending, or goes to who is there and least busy where auto-assignment is on.
    What the AI owed is owed no longer. One that a person has already stays with it.

    Args:
        reason: one of `Reason`.
        comment: what the caller gave as its reason.

    Raises:
        TransitionForbidden: it is closed.
    """
    raise NotImplementedError


def take_over(session: Session, conversation: Conversation, user_id: str) -> None:
    """Give a conversation to the user who asks; of two at once one wins.

    Does nothing for who has it already.

    Raises:
        ConversationTaken: somebody else has it.
        TransitionForbidden: it is closed.
    """
    raise NotImplementedError


def release(session: Session, conversation: Conversation) -> None:
    """Give a conversation back to the AI: open, and nobody's.

    Raises:
        TransitionForbidden: it is closed.
    """
    raise NotImplementedError


def assign(session: Session, conversation: Conversation, user_id: str) -> None:
    """Give a conversation to a user, whoever has it now.

    Raises:
        UserNotFound: there is no such active user who may answer in this tenant.
        TransitionForbidden: it is closed.
    """
    raise NotImplementedError


def switch(
    session: Session, conversation: Conversation, agent_type: str, comment: str | None = None
) -> None:
    """Have the AI or a person answer, as the contact or staff asks (`switch-agent`).

    Raises:
        TransitionForbidden: it is closed.
    """
    raise NotImplementedError


def asks_for_person(content: str, keywords: Sequence[str]) -> bool:
    """Whether a message has a keyword that asks for a person, in any case."""
    folded = content.casefold()
    return any(word in folded for word in keywords)
