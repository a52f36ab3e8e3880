"""A reply as OpenAI's API shows it, whole or in chunks."""

from __future__ import annotations

from typing import Any, Final

from maimconfig.agents.models import Agent
from maimconfig.chat.event_stream import event
from maimconfig.chat.running import RunningReply
from maimconfig.chat.wanted import Answer
from maimconfig.http import openai_errors
from maimconfig.http.errors import AppError
from maimconfig.i18n import Locale

DONE: Final = b"data: [DONE]\n\n"
_FINISHES: Final = ("stop", "length", "content_filter")


def model_of(agent: Agent) -> dict[str, Any]:
    """An agent as a model."""
    return {
        "id": agent.id,
        "object": "model",
        "created": int(agent.created_at.timestamp()),
        "owned_by": agent.tenant_id,
        "name": agent.name,
    }


def completion(reply: RunningReply, answer: Answer, model: str) -> dict[str, Any]:
    """A whole reply.

    Args:
        model: as the caller named it.
    """
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer),
    }  # fmt: skip
    return {
        **_head(reply, "chat.completion", model),
        "system_fingerprint": answer.model,
        "choices": [choice],
        "usage": _usage(answer),
    }


class Chunks:
    """A streamed reply: chunks, then `[DONE]`, or an error."""

    def __init__(self, reply: RunningReply, model: str, locale: Locale, *, usage: bool) -> None:
        """
        Args:
            model: as the caller named it.
            usage: whether a last chunk tells what was used; all others have it as null then.
        """
        self._head = _head(reply, "chat.completion.chunk", model)
        self._locale: Locale = locale
        self._with_usage = usage

    def start(self) -> bytes:
        """Who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, content: str) -> bytes:
        """A piece of the text."""
        return self._chunk({"content": content})

    def end(self, answer: Answer) -> bytes:
        """Why the reply ended, what it used if that is wanted, and the mark of the end."""
        last = self._chunk({}, _finish(answer), answer.model)
        if self._with_usage:
            used: dict[str, Any] = {
                "choices": [],
                "usage": _usage(answer),
                "system_fingerprint": answer.model,
            }
            last += event({**self._head, **used})
        return last + DONE

    def failed(self, error: AppError) -> bytes:
        """The error, after which nothing comes."""
        return event(openai_errors.body_of(error, self._locale))

    def _chunk(
        self, delta: dict[str, str], finish: str | None = None, made_by: str | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "system_fingerprint": made_by, "choices": [choice]}
        return event({**chunk, "usage": None} if self._with_usage else chunk)


def _head(reply: RunningReply, kind: str, model: str) -> dict[str, Any]:
    return {
        "id": reply.admitted.reply_id,
        "object": kind,
        "created": int(reply.admitted.started_at.timestamp()),
        "model": model,
    }


def _finish(answer: Answer) -> str:
    """OpenAI's word for why a reply ended; providers have others too."""
    said = answer.finish_reason
    return said if said in _FINISHES else "stop"


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.tokens_in,
        "completion_tokens": answer.tokens_out,
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }
