"""A reply as callers of /api/v2 see it."""

from __future__ import annotations

from typing import Any

from maimconfig import clock
from maimconfig.chat.wanted import Answer, Wanted
from maimconfig.db.types import Money
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
