"""/api/v1/admin/conversations: what staff see and do"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maimconfig.conversations import analytics, messages, schemas, service, staff
from maimconfig.conversations.messages import History
from maimconfig.conversations.models import Conversation
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import current, login, note_tenant, session
from maimconfig.sessions import schemas as session_schemas

blp = Blueprint(
    "admin-conversations",
    __name__,
    style="plain",
    url_prefix="/api/v1/admin/conversations",
    description="Conversations of the tenants that one serves, for people who answer. What "
    "another has is changed only with the permission conversation.manage.",
)

analytics_blp = Blueprint(
    "conversation-analytics",
    __name__,
    style="plain",
    url_prefix="/api/v1/admin/analytics",
    description="Conversations in numbers.",
)

ROLE = (errors.RoleForbidden,)
UNKNOWN = (*ROLE, errors.ConversationNotFound)
CHANGED = (*UNKNOWN, errors.TransitionForbidden)
TAKEN = (*CHANGED, errors.ConversationTaken)


def _shown(conversation: Conversation) -> dict[str, Any]:
    note_tenant(conversation.tenant_id)
    revision_etag(conversation.revision)
    (shown,) = service.shown(session(), [conversation])
    return shown


@blp.get("", errors=ROLE)
@blp.arguments(schemas.ConversationsQuery, location="query")
@blp.response(200, schemas.ConversationOut(many=True))
def list_conversations(query: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """List conversations, those with the latest activity first

    `X-Total-Count` says how many there are.
    """
    found = staff.find(session(), login(), **query)
    current().headers["X-Total-Count"] = str(found.total)
    return found.items


@blp.get("/<id:conversation_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.ConversationOut)
def get_conversation(conversation_id: str) -> dict[str, Any]:
    """Get a conversation"""
    return _shown(staff.get(session(), login(), conversation_id))


@blp.post("/<id:conversation_id>/takeover", errors=TAKEN)
@blp.response(200, schemas.ConversationOut)
def take_over(conversation_id: str) -> dict[str, Any]:
    """Take a conversation over; the AI keeps silent

    Of two at once one wins; the other is told in `details` who has it.
    """
    return _shown(staff.take_over(session(), login(), conversation_id))


@blp.post("/<id:conversation_id>/assign", errors=(*TAKEN, errors.UserNotFound))
@blp.arguments(schemas.ConversationAssignment)
@blp.response(200, schemas.ConversationOut)
def assign(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Give a conversation to a user; to another than oneself with conversation.manage

    `assignee_id: null` takes it from who has it: it is pending then, and the AI keeps silent.
    """
    return _shown(staff.assign(session(), login(), conversation_id, payload["assignee_id"]))


@blp.post("/<id:conversation_id>/release", errors=CHANGED)
@blp.response(200, schemas.ConversationOut)
def release(conversation_id: str) -> dict[str, Any]:
    """Give a conversation back to the AI"""
    return _shown(staff.release(session(), login(), conversation_id))


@blp.post("/<id:conversation_id>/switch-agent", errors=CHANGED)
@blp.arguments(session_schemas.SwitchAgent)
@blp.response(200, schemas.ConversationOut)
def switch_agent(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Have a person answer, or the AI again"""
    return _shown(
        staff.switch(
            session(), login(), conversation_id, payload["agent_type"], payload.get("reason")
        )
    )


@blp.put("/<id:conversation_id>/status", etag=True, errors=CHANGED)
@blp.arguments(schemas.ConversationStatusChange)
@blp.response(200, schemas.ConversationOut)
def change_status(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Change the status: open, pending, resolved or closed, which is final"""
    return _shown(
        staff.set_status(
            session(), login(), conversation_id, payload["status"], expected_revisions()
        )
    )


@blp.put("/<id:conversation_id>/priority", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.ConversationPriorityChange)
@blp.response(200, schemas.ConversationOut)
def change_priority(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Change the priority"""
    return _shown(staff.sort(session(), login(), conversation_id, payload, expected_revisions()))


@blp.put("/<id:conversation_id>/tags", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.ConversationTagsChange)
@blp.response(200, schemas.ConversationOut)
def change_tags(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Change the tags"""
    tags = {"tags": list(dict.fromkeys(payload["tags"]))}
    return _shown(staff.sort(session(), login(), conversation_id, tags, expected_revisions()))


@blp.get("/<id:conversation_id>/messages", errors=(*UNKNOWN, errors.ChatMessageNotFound))
@blp.arguments(session_schemas.MessagesQuery, location="query")
@blp.response(200, session_schemas.MessagesOut)
def list_messages(query: dict[str, Any], conversation_id: str) -> History:
    """List a conversation's messages in order, private notes too

    The last ones; with `before` the last ones before a message, with `after` the first ones after.
    """
    found = staff.get(session(), login(), conversation_id)
    note_tenant(found.tenant_id)
    return messages.history(
        session(),
        found.id,
        private=True,
        limit=query["limit"],
        before=query.get("before"),
        following=query.get("after"),
    )


@blp.post("/<id:conversation_id>/messages", creates=True, errors=TAKEN)
@blp.arguments(schemas.StaffMessage)
@blp.response(200, session_schemas.ChatMessageOut)
def create_message(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Answer the contact; a conversation that nobody has is taken over so"""
    given = {**payload, "is_private": bool(payload.get("is_private"))}
    return staff.say(session(), login(), conversation_id, **given)


@blp.post("/<id:conversation_id>/notes", creates=True, errors=CHANGED)
@blp.arguments(schemas.ConversationNote)
@blp.response(200, session_schemas.ChatMessageOut)
def create_note(payload: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Note something that the contact never sees"""
    return staff.say(session(), login(), conversation_id, is_private=True, **payload)


@analytics_blp.get("/conversations", errors=ROLE)
@analytics_blp.arguments(schemas.AnalyticsQuery, location="query")
@analytics_blp.response(200, schemas.ConversationAnalytics)
def get_conversation_analytics(query: dict[str, Any]) -> dict[str, Any]:
    """Conversations in numbers: now, today and this week (UTC, from Monday)"""
    return analytics.numbers(session(), login(), **query)
