"""What a tenant's webhooks are told of its conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from maimconfig.conversations.models import Conversation
from maimconfig.db.session import Session
from maimconfig.webhooks.service import Event, emit_many


class Standing(NamedTuple):
    """How a conversation stands, as far as webhooks are told of changes.

    Attributes:
        agent_type: who answers, ai or human.
        assignee_id: who has it; None while nobody or the AI does.
    """

    status: str
    agent_type: str
    assignee_id: str | None


def standing(conversation: Conversation) -> Standing:
    """How a conversation stands now."""
    return Standing(conversation.status, conversation.current_agent_type, conversation.assignee_id)


def changed(session: Session, conversation: Conversation, before: Standing) -> None:
    """Tell of what has changed in a locked conversation.

    Args:
        before: how it stood before the change.
    """
    now = standing(conversation)
    about: dict[str, str | None] = {
        "conversation_id": conversation.id,
        "agent_id": conversation.agent_id,
        "contact_id": conversation.contact_id,
    }
    events = []
    if now.status != before.status:
        data = {**about, "status": now.status, "previous_status": before.status}
        events.append(Event(conversation.tenant_id, "conversation.status_changed", data))
    if now[1:] != before[1:]:
        data = {
            **about,
            "agent_type": now.agent_type,
            "assignee_id": now.assignee_id,
            "previous_assignee_id": before.assignee_id,
        }
        events.append(Event(conversation.tenant_id, "conversation.assigned", data))
    emit_many(session, events)


def reopened(row: Mapping[str, Any]) -> Event:
    """The event of a resolved conversation that its contact writes to again.

    Args:
        row: of the table, by the columns' names.
    """
    data = {
        "conversation_id": row["id"],
        "agent_id": row["agent_id"],
        "contact_id": row["contact_id"],
        "status": "open",
        "previous_status": "resolved",
    }
    return Event(row["tenant_id"], "conversation.status_changed", data)


def said(tenant_id: str, message: Mapping[str, Any]) -> Event:
    """The event of a message, private notes included.

    Args:
        message: as it is shown on the wire.
    """
    return Event(tenant_id, "message.created", message)
