"""Chat on the wire."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, pre_load
from marshmallow import fields as plain

from maimconfig.chat.models import IDENTIFIER_LENGTH, PLATFORM_LENGTH
from maimconfig.http import fields
from maimconfig.http.examples import AGENT, TENANT
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema, Ready

MAX_MESSAGE = 20_000  # characters, contract
MAX_BATCH = 50  # contract
MESSAGE = "msg_019ab2c4d5e67f8890a1b2c3d4e5f610"


def _name(high: int = IDENTIFIER_LENGTH, **metadata: Any) -> fields.Trimmed:
    return fields.Trimmed(low=1, high=high, allow_none=True, metadata=metadata)


class StreamQuery(InputSchema):
    """Which stream of which agent; by an API key in a header, else by tenant_id and agent_id."""

    tenant_id = fields.Id()
    agent_id = fields.Id()
    platform = _name(PLATFORM_LENGTH)
    chat_identifier = _name(description="Names the stream; else conversation_id, group_id, user_id")
    conversation_id = _name()
    group_id = _name()
    user_id = _name(100)


class HistoryQuery(PageQuery, StreamQuery):
    """GET /chat/history"""


class TenantOrKey(PageQuery):
    """GET /chat-agents"""

    page_size = fields.QueryInteger(load_default=100, validate=fields.between(1, 100))
    tenant_id = fields.Id()


class ChatMessageIn(InputSchema):
    """POST /chat"""

    api_key = fields.String(
        allow_none=True,
        metadata={"description": "May also be sent as Authorization: Bearer, or X-API-Key."},
    )
    tenant_id = fields.Id(
        allow_none=True, metadata={"description": "With agent_id in place of a key; internal."}
    )
    agent_id = fields.Id(allow_none=True)
    message = fields.String(
        required=True,
        validate=fields.length(1, MAX_MESSAGE),
        metadata={"example": "你好"},
    )
    conversation_id = _name(example="conv-1")
    user_id = _name(100, example="user-1")
    group_id = _name(description="Says that it is a group.")
    platform = _name(PLATFORM_LENGTH, example="web")
    chat_identifier = _name(description="Names the stream; else conversation_id, group_id, user_id")
    message_id = _name(description="Yours, of this message: makes a retry harmless.")
    metadata = fields.Object(allow_none=True, metadata={"description": "Comes back."})
    stream = fields.Boolean(
        load_default=False,
        allow_none=True,
        metadata={"description": "true answers with server-sent events.", "example": False},
    )


class ChatBatch(InputSchema):
    """POST /chat/batch; a bare list of requests is taken too."""

    requests = fields.Objects(
        items=MAX_BATCH,
        required=True,
        metadata={
            "description": "Each like the body of POST /chat, and never streamed.",
            "example": [{"tenant_id": TENANT, "agent_id": AGENT, "message": "你好"}],
        },
    )

    @pre_load
    def _accept_list(self, data: Any, **_: Any) -> Any:
        return {"requests": data} if isinstance(data, list) else data


class UsageOfReply(Ready):
    """What a reply used; cost is a decimal as text, in the currency of the models' prices."""

    prompt_tokens = plain.Integer(required=True)
    completion_tokens = plain.Integer(required=True)
    total_tokens = plain.Integer(required=True)
    cost = plain.String(required=True)


class ChatReply(Ready):
    """An agent's reply."""

    response = plain.String(required=True, metadata={"example": "你好，有什么可以帮你？"})
    message_id = plain.String(required=True, metadata={"example": MESSAGE})
    conversation_id = plain.String(required=True, metadata={"example": "conv-1"})
    tenant_id = plain.String(required=True)
    agent_id = plain.String(required=True)
    platform = plain.String(required=True, metadata={"example": "web"})
    chat_identifier = plain.String(required=True, metadata={"example": "conv-1"})
    agent_type = plain.String(required=True, metadata={"enum": ["ai"]})
    model = plain.String(required=True, metadata={"example": "qwen-turbo"})
    usage = plain.Nested(UsageOfReply, required=True)
    metadata = fields.Object(required=True)
    timestamp = plain.String(
        required=True, metadata={"format": "date-time", "example": "2026-11-23T08:00:00Z"}
    )


class BatchResult(Ready):
    """What became of one request of a batch."""

    index = plain.Integer(required=True, metadata={"example": 0})
    success = plain.Boolean(required=True)
    data = plain.Nested(ChatReply, metadata={"description": "Of a success."})
    error = plain.String(metadata={"description": "Of a failure: what exactly was wrong."})
    error_code = plain.String(metadata={"example": "CHAT_003"})


class BatchSummary(Ready):
    """How a batch went."""

    total = plain.Integer(required=True)
    success = plain.Integer(required=True)
    failed = plain.Integer(required=True)


class ChatBatchOut(Ready):
    """The results of a batch, in the order of its requests."""

    results = plain.List(plain.Nested(BatchResult), required=True)
    summary = plain.Nested(BatchSummary, required=True)


class ChatAgentOut(Schema):
    """An agent that can be chatted with."""

    id = plain.String(required=True, metadata={"example": AGENT})
    agent_id = plain.String(required=True, attribute="id", dump_only=True)
    name = plain.String(required=True, metadata={"example": "小麦"})
    description = plain.String(required=True, allow_none=True)
    tags = plain.List(plain.String(), required=True)


class ChatAgents(Schema):
    """The active agents of a tenant, newest first."""

    tenant_id = plain.String(required=True)
    agents = plain.List(plain.Nested(ChatAgentOut), required=True)
    count = plain.Integer(required=True, metadata={"description": "On all pages."})


class HistoryMessage(Schema):
    """A message of a stream."""

    id = plain.String(required=True, metadata={"example": MESSAGE})
    message_id = plain.String(
        required=True, attribute="id", dump_only=True, metadata={"example": MESSAGE}
    )
    client_message_id = plain.String(
        required=True, allow_none=True, attribute="message_id",
        metadata={"description": "The message_id that its sender gave it."},
    )  # fmt: skip
    seq = plain.Integer(required=True)
    role = plain.String(required=True, metadata={"enum": ["user", "assistant"]})
    content = plain.String(required=True)
    user_id = plain.String(required=True, allow_none=True)
    reply_to = plain.String(required=True, allow_none=True)
    state = plain.String(
        required=True, metadata={"enum": ["complete", "partial", "failed", "pending"]}
    )
    model = plain.String(required=True, allow_none=True)
    created_at = fields.Moment(required=True)


class HistoryDeleted(Schema):
    """What went with a stream."""

    platform = plain.String(required=True)
    chat_identifier = plain.String(required=True)
    deleted = plain.Integer(required=True, metadata={"description": "Messages."})
