"""Chat sessions and their messages on the wire."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, validates_schema
from marshmallow import fields as plain

from maimconfig.chat.schemas import MESSAGE
from maimconfig.conversations.content import Content
from maimconfig.conversations.metadata import Metadata
from maimconfig.conversations.models import (
    AGENT_TYPES,
    CHANNELS,
    CLIENT_ID_LENGTH,
    MESSAGE_TYPES,
    SENDER_TYPES,
)
from maimconfig.conversations.transitions import STATUSES
from maimconfig.http import fields
from maimconfig.http.examples import AGENT, TENANT
from maimconfig.http.schema import InputSchema, Ready
from maimconfig.sessions.models import SESSION_STATUSES

SESSION = "sess_019ab2c4d5e67f8890a1b2c3d4e5f611"
CONVERSATION = "conv_019ab2c4d5e67f8890a1b2c3d4e5f612"
MAX_COMMENT = 1000

# What people send; `system` and `event` are the service's own.
SENT_TYPES = tuple(one for one in MESSAGE_TYPES if one not in ("system", "event"))


def _moment(**options: Any) -> plain.String:
    return plain.String(
        metadata={"format": "date-time", "example": "2026-11-23T08:00:00Z"}, **options
    )


class ChatSessionCreate(InputSchema):
    """POST /chat/sessions"""

    user_id = fields.Trimmed(
        low=1, high=100, required=True,
        metadata={"description": "Your own id of the contact.", "example": "visitor-1"},
    )  # fmt: skip
    agent_id = fields.Id(allow_none=True, metadata={"description": "Not needed with a key."})
    api_key = fields.String(
        allow_none=True,
        metadata={"description": "May also be sent as Authorization: Bearer, or X-API-Key."},
    )
    agent_type = fields.String(
        load_default="ai", allow_none=True, validate=fields.one_of(*AGENT_TYPES)
    )
    channel_type = fields.String(
        load_default="web_widget", allow_none=True, validate=fields.one_of(*CHANNELS)
    )
    conversation_id = fields.Id(
        allow_none=True,
        metadata={"description": "An earlier one of this contact, to go on with; not for guests."},
    )
    metadata = Metadata(allow_none=True)
    context = Metadata(allow_none=True)


class ChatSessionChange(InputSchema):
    """PUT /chat/sessions/{id}"""

    status = fields.String(
        allow_none=True,
        validate=fields.one_of("active", "closed"),
        metadata={"description": "`active` wakes an idle one; what has ended stays so."},
    )
    metadata = Metadata(allow_none=True)
    context = Metadata(allow_none=True)


class SwitchAgent(InputSchema):
    """POST .../switch-agent"""

    agent_type = fields.String(required=True, validate=fields.one_of(*AGENT_TYPES))
    reason = fields.String(allow_none=True, validate=fields.length(0, 200))


class ChatMessageCreate(InputSchema):
    """POST /chat/messages; session_id, or the conversation_id of a session of yours."""

    session_id = fields.Id(allow_none=True)
    conversation_id = fields.Id(allow_none=True)
    content = Content()
    message_type = fields.String(
        load_default="text", allow_none=True, validate=fields.one_of(*SENT_TYPES)
    )
    metadata = Metadata(allow_none=True)
    client_id = fields.Trimmed(
        low=1, high=CLIENT_ID_LENGTH, allow_none=True,
        metadata={"description": "Yours, of this message: makes a retry harmless."},
    )  # fmt: skip

    @validates_schema
    def _named(self, data: dict[str, Any], **_: Any) -> None:
        if not (data.get("session_id") or data.get("conversation_id")):
            raise ValidationError(fields.REQUIRED, "session_id")


class Send(InputSchema):
    """POST /chat/send"""

    session_id = fields.Id(required=True)
    message = Content()
    metadata = Metadata(allow_none=True)
    client_id = fields.Trimmed(low=1, high=CLIENT_ID_LENGTH, allow_none=True)


class Feedback(InputSchema):
    """POST /chat/messages/{id}/feedback"""

    rating = fields.Integer(required=True, validate=fields.between(1, 5))
    comment = fields.String(allow_none=True, validate=fields.length(0, MAX_COMMENT))


class MessagesQuery(InputSchema):
    """GET /chat/sessions/{id}/messages; the last ones unless told otherwise."""

    limit = fields.QueryInteger(load_default=50, validate=fields.between(1, 200))
    before = fields.String(
        validate=fields.length(1, 50),
        metadata={"description": "The seq or id of a message: the last ones before it."},
    )
    after = fields.String(
        validate=fields.length(1, 50),
        metadata={"description": "The seq or id of a message: the first ones after it."},
    )


class ChatSessionOut(Ready):
    """A chat session."""

    id = plain.String(required=True, metadata={"example": SESSION})
    session_id = plain.String(required=True, metadata={"example": SESSION})
    tenant_id = plain.String(required=True, metadata={"example": TENANT})
    agent_id = plain.String(required=True, metadata={"example": AGENT})
    user_id = plain.String(required=True, metadata={"example": "visitor-1"})
    conversation_id = plain.String(required=True, metadata={"example": CONVERSATION})
    agent_type = plain.String(required=True, metadata={"enum": list(AGENT_TYPES)})
    conversation_status = plain.String(required=True, metadata={"enum": list(STATUSES)})
    assignee_id = plain.String(required=True, allow_none=True)
    status = plain.String(required=True, metadata={"enum": list(SESSION_STATUSES)})
    is_guest = plain.Boolean(required=True)
    context = fields.Object(required=True)
    metadata = fields.Object(required=True)
    created_at = _moment(required=True)
    updated_at = _moment(required=True)
    last_activity_at = _moment(required=True)
    expires_at = _moment(required=True)


class NewChatSessionOut(ChatSessionOut):
    """A session that was just begun, with the token that is good for it alone; shown once."""

    token = plain.String(required=True, metadata={"example": f"mms_{SESSION}.0a1b2c3d.…"})


class ChatMessageOut(Ready):
    """A message of a conversation."""

    id = plain.String(required=True, metadata={"example": MESSAGE})
    seq = plain.Integer(
        required=True, allow_none=True, metadata={"description": "null of a private note."}
    )
    conversation_id = plain.String(required=True, metadata={"example": CONVERSATION})
    session_id = plain.String(required=True, allow_none=True)
    sender_type = plain.String(required=True, metadata={"enum": list(SENDER_TYPES)})
    sender_id = plain.String(required=True, allow_none=True)
    content = plain.String(required=True, metadata={"example": "你好"})
    message_type = plain.String(required=True, metadata={"enum": list(MESSAGE_TYPES)})
    metadata = fields.Object(required=True)
    is_private = plain.Boolean(required=True)
    created_at = _moment(required=True)
    client_id = plain.String(required=True, allow_none=True)
    reply_to = plain.String(required=True, allow_none=True)
    state = plain.String(required=True, metadata={"enum": ["complete", "partial"]})
    rating = plain.Integer(required=True, allow_none=True)


class MessagesOut(Schema):
    """Messages in order."""

    messages = plain.List(plain.Nested(ChatMessageOut), required=True)
    total = plain.Integer(required=True)
    has_more = plain.Boolean(
        required=True, metadata={"description": "In the direction that was read."}
    )


class Sent(Ready):
    """A message and the AI's reply to it."""

    message = plain.Nested(ChatMessageOut, required=True)
    reply = plain.Nested(ChatMessageOut, required=True, allow_none=True)
    pending = plain.Boolean(
        required=True,
        metadata={"description": "The reply is still being made, and comes as a message later."},
    )
