"""/v1: agents answer as OpenAI's models do, to whatever client of OpenAI's API holds a key."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

from maimconfig.agents import service as agents
from maimconfig.agents.models import Agent
from maimconfig.chat import openai_schemas as schemas
from maimconfig.chat import service
from maimconfig.chat.callers import caller_of, noting_limit
from maimconfig.chat.openai_shown import Chunks, completion, model_of
from maimconfig.chat.prompt import Message
from maimconfig.chat.running import RunningReply
from maimconfig.chat.streamed import streamed
from maimconfig.chat.wanted import Caller
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import current, locale, runtime
from maimconfig.http.openai_errors import PREFIX
from maimconfig.i18n import Text
from maimconfig.key_checks.refusals import REFUSED

blp = Blueprint(
    "openai",
    __name__,
    style="openai",
    url_prefix=PREFIX,
    description="Agents, for clients of OpenAI's API.",
)

KEY = (*REFUSED, errors.KeyForbidden, errors.RateLimited)
REPLY = (
    *KEY, errors.AgentNotFound, errors.MessageDropped, errors.QuotaExceeded,
    errors.NoProviderAnswered, errors.Busy, errors.ReplyTooSlow,
)  # fmt: skip

# What goes to the provider. It is a list of what is known to be harmless: others' parameters may
# cost the operator more (service_tier, enable_search, best_of) or ask for what isn't shown here
# (logprobs, audio, tools).
PASSED_ON: Final = (
    "top_p", "presence_penalty", "frequency_penalty", "stop", "seed", "logit_bias",
    "response_format", "reasoning_effort",
)  # fmt: skip

UNKNOWN_MODEL = Text(
    "模型“{model}”不存在，或密钥无权使用",
    "The model `{model}` does not exist or the key has no access",
)


def _caller() -> Caller:
    """Who asks; before the body is looked at, as OpenAI does."""
    return caller_of({}, by_key=True)


@blp.post("/chat/completions", unit="none", first=_caller, errors=REPLY)
@blp.arguments(schemas.CompletionIn)
@blp.response(200, schemas.Completion)
@blp.alt_response(200, schema={"type": "string"}, content_type="text/event-stream", success=True)
def create_completion(payload: dict[str, Any]) -> Any:
    """Have an agent answer a conversation that the caller keeps

    With `stream` the answer is `text/event-stream`: chunks of the object `chat.completion.chunk`,
    then `data: [DONE]`; a reply that fails on its way ends with `data: {"error": …}`.
    """
    slots = runtime().reply_slots(current().plane)
    slots.take()
    handed_over = False
    try:
        caller: Caller = current().prepared
        _agent(caller, payload["model"])
        reply = noting_limit(lambda: _begin(caller, payload))
        if payload["stream"]:
            answer = streamed(reply, _chunks(reply, payload), slots.release)
            handed_over = True
            return answer
        return completion(reply, reply.wait(), payload["model"])
    finally:
        if not handed_over:
            slots.release()


@blp.get("/models", unit="none", first=_caller, errors=(*KEY, errors.AgentNotFound))
@blp.response(200, schemas.ModelList)
def list_models() -> dict[str, Any]:
    """List the models that the key may use: its agent"""
    return {"object": "list", "data": [model_of(_agent(current().prepared))]}


@blp.get("/models/<path:model>", unit="none", first=_caller, errors=(*KEY, errors.AgentNotFound))
@blp.response(200, schemas.ModelOut)
def get_model(model: str) -> dict[str, Any]:
    """Read a model, by the agent's id or name"""
    return model_of(_agent(current().prepared, model))


def _agent(caller: Caller, model: str | None = None) -> Agent:
    """The key's agent.

    Raises:
        AgentNotFound: it is gone, or has neither the id nor the name that is given.
    """
    agent = runtime().read(
        lambda session: agents.get(session, caller.agent_id, tenant_id=caller.tenant_id)
    )
    if model is not None and unicodedata.normalize("NFC", model) not in (agent.id, agent.name):
        shown = "".join(letter for letter in model[:200] if letter.isprintable())
        raise errors.AgentNotFound(UNKNOWN_MODEL.format(model=shown))
    return agent


def _begin(caller: Caller, payload: Mapping[str, Any]) -> RunningReply:
    given = {name: payload[name] for name in PASSED_ON if payload.get(name) is not None}
    return service.complete(
        runtime(),
        caller,
        _messages(payload["messages"]),
        streamed=payload["stream"] is True,
        max_tokens=payload.get("max_completion_tokens") or payload.get("max_tokens"),
        temperature=payload.get("temperature"),
        params=given,
        user_id=payload.get("user") or None,
        request_id=current().request_id,
    )


def _messages(given: Sequence[Message]) -> list[Message]:
    """The caller's messages; `developer` is OpenAI's newer word that others don't know."""
    return [
        {**message, "role": "system"} if message["role"] == "developer" else message
        for message in given
    ]


def _chunks(reply: RunningReply, payload: Mapping[str, Any]) -> Chunks:
    options = payload.get("stream_options") or {}
    return Chunks(reply, payload["model"], locale(), usage=options.get("include_usage") is True)
