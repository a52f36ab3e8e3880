"""A reply as callers of /api/v2 see it."""

from __future__ import annotations

from typing import Any

from maimconfig import clock
from maimconfig.chat.event_stream import event
from maimconfig.chat.running import RunningReply
from maimconfig.chat.wanted import Answer, Wanted
from maimconfig.db.types import Money
from maimconfig.http.envelope import failure_of
from maimconfig.http.errors import AppError
from maimconfig.i18n import Locale
from maimconfig.usage.report import cost_text

AGENT_TYPE = "ai"


def shown(wanted: Wanted, answer: Answer) -> dict[str, Any]:
    """The whole answer."""
    return {
        "response": answer.text,
        **started(wanted, answer.id),
        "model": answer.model,
        "usage": {
            "prompt_tokens": answer.tokens_in,
            "completion_tokens": answer.tokens_out,
            "total_tokens": answer.tokens_in + answer.tokens_out,
            "cost": cost_text(int(answer.cost / Money.UNIT)),
        },
        "metadata": dict(wanted.metadata),
        "timestamp": clock.wire(answer.created_at),
    }


def started(wanted: Wanted, reply_id: str) -> dict[str, Any]:
    """What is known of an answer before there is any of it."""
    name = wanted.stream_name
    if name is None:
        raise AssertionError("unreachable")
    return {
        "message_id": reply_id,
        "conversation_id": name.conversation_id,
        "tenant_id": wanted.agent.tenant_id,
        "agent_id": wanted.agent.id,
        "platform": name.platform,
        "chat_identifier": name.chat_identifier,
        "agent_type": AGENT_TYPE,
    }


class ChatEvents:
    """The events of a streamed reply: message.start, message.delta, message.end, error."""

    def __init__(self, reply: RunningReply, locale: Locale, request_id: str | None) -> None:
        self._wanted = reply.wanted
        self._reply_id = reply.admitted.reply_id
        self._locale: Locale = locale
        self._request_id = request_id

    def start(self) -> bytes:
        """Under which ids the reply is made."""
        return event(started(self._wanted, self._reply_id), "message.start")

    def piece(self, content: str) -> bytes:
        """A piece of its text."""
        return event({"content": content}, "message.delta")

    def end(self, answer: Answer) -> bytes:
        """The whole answer."""
        return event(shown(self._wanted, answer), "message.end")

    def failed(self, error: AppError) -> bytes:
        """The error envelope, with the reply's id."""
        body = failure_of(error, self._locale, self._request_id)
        return event({**body, "message_id": self._reply_id}, "error")
