"""Conversations on the wire, as staff see them."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.chat.schemas import MAX_MESSAGE
from maimconfig.contacts.schemas import CONTACT
from maimconfig.conversations.content import Content
from maimconfig.conversations.metadata import Metadata
from maimconfig.conversations.models import AGENT_TYPES, CHANNELS, CLIENT_ID_LENGTH, PRIORITIES
from maimconfig.conversations.transitions import STATUSES
from maimconfig.http import fields
from maimconfig.http.schema import InputSchema, Ready
from maimconfig.http.slices import SliceQuery
from maimconfig.sessions.schemas import CONVERSATION, SENT_TYPES

MAX_TAGS, MAX_TAG = 50, 50


def _moment(**options: Any) -> plain.String:
    return plain.String(
        required=True,
        metadata={"format": "date-time", "example": "2026-11-23T08:00:00Z"},
        **options,
    )


class ConversationsQuery(SliceQuery):
    """GET /admin/conversations"""

    status = fields.String(validate=fields.one_of(*STATUSES))
    agent_type = fields.String(validate=fields.one_of(*AGENT_TYPES))
    priority = fields.String(validate=fields.one_of(*PRIORITIES))
    assignee_id = fields.Id(
        metadata={"description": "A user's id; `me`, or `none` for those that nobody has."}
    )
    tenant_id = fields.Id()
    agent_id = fields.Id()
    contact_id = fields.Id()
    q = fields.String(
        validate=fields.length(0, 100),
        metadata={
            "description": "A part of the contact's name, email, phone or external id; or the "
            "conversation's id."
        },
    )


class ConversationAssignment(InputSchema):
    """POST /admin/conversations/{id}/assign"""

    assignee_id = fields.Id(
        required=True,
        allow_none=True,
        metadata={
            "description": "null for nobody: what a person has waits for the next one.",
            "example": "user_019ab2c4d5e67f88",
        },
    )


class ConversationStatusChange(InputSchema):
    """PUT /admin/conversations/{id}/status"""

    status = fields.String(required=True, validate=fields.one_of(*STATUSES))


class ConversationPriorityChange(InputSchema):
    """PUT /admin/conversations/{id}/priority"""

    priority = fields.String(required=True, validate=fields.one_of(*PRIORITIES))


class ConversationTagsChange(InputSchema):
    """PUT /admin/conversations/{id}/tags"""

    tags = fields.Texts(
        items=MAX_TAGS,
        text=fields.Trimmed(low=1, high=MAX_TAG),
        required=True,
        metadata={"example": ["退款"]},
    )


class ConversationNote(InputSchema):
    """POST /admin/conversations/{id}/notes"""

    content = fields.String(required=True, validate=fields.length(1, MAX_MESSAGE))
    metadata = Metadata(allow_none=True)
    client_id = fields.Trimmed(low=1, high=CLIENT_ID_LENGTH, allow_none=True)


class StaffMessage(ConversationNote):
    """POST /admin/conversations/{id}/messages"""

    content = Content()
    message_type = fields.String(allow_none=True, validate=fields.one_of(*SENT_TYPES))
    is_private = fields.Boolean(
        load_default=False, allow_none=True, metadata={"description": "A note, as /notes makes."}
    )


class ContactShown(Ready):
    """Whom a conversation is with."""

    id = plain.String(required=True, metadata={"example": CONTACT})
    external_id = plain.String(required=True)
    name = plain.String(required=True, allow_none=True)
    email = plain.String(required=True, allow_none=True)
    phone = plain.String(required=True, allow_none=True)
    avatar_url = plain.String(required=True, allow_none=True)
    is_guest = plain.Boolean(required=True)


class AssigneeShown(Ready):
    """Who has a conversation."""

    id = plain.String(required=True)
    username = plain.String(required=True)
    full_name = plain.String(required=True, allow_none=True)


class ConversationOut(Ready):
    """A conversation."""

    id = plain.String(required=True, metadata={"example": CONVERSATION})
    conversation_id = plain.String(required=True, metadata={"example": CONVERSATION})
    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    contact_id = plain.String(required=True, metadata={"example": CONTACT})
    contact = plain.Nested(ContactShown, required=True, allow_none=True)
    channel_type = plain.String(required=True, metadata={"enum": list(CHANNELS)})
    status = plain.String(required=True, metadata={"enum": list(STATUSES), "example": "open"})
    priority = plain.String(required=True, metadata={"enum": list(PRIORITIES)})
    agent_type = plain.String(required=True, metadata={"enum": list(AGENT_TYPES)})
    current_agent_type = plain.String(required=True, metadata={"enum": list(AGENT_TYPES)})
    assignee_id = plain.String(required=True, allow_none=True)
    assignee = plain.Nested(AssigneeShown, required=True, allow_none=True)
    handoff_reason = plain.String(required=True, allow_none=True)
    tags = plain.List(plain.String(), required=True, metadata={"example": ["退款"]})
    satisfaction = plain.Integer(
        required=True, allow_none=True, metadata={"description": "1 to 5, as the contact rated."}
    )
    satisfaction_comment = plain.String(required=True, allow_none=True)
    handled_by_ai = plain.Boolean(required=True)
    handled_by_human = plain.Boolean(required=True)
    unread_staff = plain.Integer(required=True)
    unread_contact = plain.Integer(required=True)
    contact_read_seq = plain.Integer(required=True)
    staff_read_seq = plain.Integer(required=True)
    last_seq = plain.Integer(required=True)
    revision = plain.Integer(required=True)
    first_reply_at = _moment(allow_none=True)
    last_activity_at = _moment()
    handed_off_at = _moment(allow_none=True)
    resolved_at = _moment(allow_none=True)
    created_at = _moment()
    updated_at = _moment()


class AnalyticsQuery(InputSchema):
    """GET /admin/analytics/conversations"""

    tenant_id = fields.Id()
    agent_id = fields.Id()


class ContactSatisfaction(Schema):
    """How contacts have rated."""

    count = plain.Integer(required=True)
    average = plain.Float(required=True, allow_none=True, metadata={"description": "1 to 5."})


class ConversationPeriod(Schema):
    """The conversations that began in a period; resolved are those that were so in it."""

    begun = plain.Integer(required=True)
    handled_by_ai = plain.Integer(required=True)
    handled_by_human = plain.Integer(required=True)
    handled_by_ai_alone = plain.Integer(required=True)
    handed_off = plain.Integer(required=True)
    first_response_seconds = plain.Float(
        required=True, allow_none=True, metadata={"description": "On average."}
    )
    resolved = plain.Integer(required=True)
    resolution_seconds = plain.Float(
        required=True, allow_none=True, metadata={"description": "On average."}
    )
    satisfaction = plain.Nested(ContactSatisfaction, required=True)


class ConversationsNow(Schema):
    """The conversations that are open or pending."""

    open = plain.Integer(required=True)
    pending = plain.Integer(required=True)
    with_ai = plain.Integer(required=True)
    with_people = plain.Integer(required=True)
    waiting = plain.Integer(required=True, metadata={"description": "For a person to take over."})


class ConversationAnalytics(Schema):
    """Conversations in numbers."""

    now = plain.Nested(ConversationsNow, required=True)
    today = plain.Nested(ConversationPeriod, required=True)
    this_week = plain.Nested(ConversationPeriod, required=True)
