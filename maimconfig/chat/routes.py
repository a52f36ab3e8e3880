"""/api/v2/chat and /api/v2/chat-agents: agents answer."""

from __future__ import annotations

from typing import Any

from maimconfig.agents import lists as agent_lists
from maimconfig.chat import schemas, service, streams
from maimconfig.chat.batch import SIDE_BY_SIDE, Batch
from maimconfig.chat.callers import caller_of, is_trusted, noting_limit, sent_key, tenant_of
from maimconfig.chat.running import RunningReply
from maimconfig.chat.shown import ChatEvents, shown
from maimconfig.chat.streamed import streamed
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import actor, client_address, current, locale, runtime
from maimconfig.http.pagination import Page, page_of
from maimconfig.key_checks.refusals import REFUSED

blp = Blueprint(
    "chat",
    __name__,
    style="envelope",
    url_prefix="/api/v2",
    description="Agents answer.",
)

IDENTITY = (
    *REFUSED, errors.KeyForbidden, errors.TenantNotFound, errors.AgentNotFound, errors.RateLimited,
)  # fmt: skip
REPLY = (
    *IDENTITY, errors.StillAnswering, errors.MessageDropped, errors.IdempotencyKeyReused,
    errors.QuotaExceeded, errors.NoProviderAnswered, errors.Busy, errors.ReplyTooSlow,
)  # fmt: skip


@blp.post("/chat", unit="none", errors=REPLY)
@blp.arguments(schemas.ChatMessageIn)
@blp.response(200, schemas.ChatReply)
@blp.alt_response(200, schema={"type": "string"}, content_type="text/event-stream", success=True)
def chat(payload: dict[str, Any]) -> Any:
    """Have an agent answer a message

    With `stream` the answer is `text/event-stream`: message.start, message.delta {content},
    message.end (the whole answer) and error.
    """
    slots = runtime().reply_slots(current().plane)
    slots.take()
    handed_over = False
    try:
        caller = caller_of(payload)
        asked = service.asked_of(payload, current().request_id)
        begun = noting_limit(lambda: service.ask(runtime(), caller, asked))
        if isinstance(begun, RunningReply):
            if asked.streamed:
                told = ChatEvents(begun, locale(), current().request_id)
                answer = streamed(begun, told, slots.release)
                handed_over = True
                return answer
            return shown(begun.wanted, begun.wait())
        return shown(*begun)
    finally:
        if not handed_over:
            slots.release()


@blp.post("/chat/batch", unit="none", errors=(*REPLY,))
@blp.arguments(schemas.ChatBatch)
@blp.response(200, schemas.ChatBatchOut)
def chat_batch(payload: dict[str, Any]) -> dict[str, Any]:
    """Have agents answer up to 50 messages, side by side

    One that fails doesn't fail the others; the results are in the order of the requests.
    """
    shared = Batch(
        runtime=runtime(),
        api_key=sent_key({}),
        address=client_address(),
        trusted=is_trusted(),
        request_id=current().request_id,
        locale=locale(),
    )
    requests = payload["requests"]
    with runtime().reply_slots(current().plane).held(min(SIDE_BY_SIDE, len(requests))) as places:
        return shared.run(requests, places)


@blp.get("/chat-agents", unit="none", errors=IDENTITY)
@blp.arguments(schemas.TenantOrKey, location="query")
@blp.response(200, schemas.ChatAgents)
def list_chat_agents(query: dict[str, Any]) -> dict[str, Any]:
    """List the agents of a tenant that can be chatted with

    The tenant is the key's, which goes into `Authorization: Bearer` or `X-API-Key`.
    """
    tenant_id = tenant_of(query)
    page = runtime().read(
        lambda session: agent_lists.find(
            session,
            tenant_id=tenant_id,
            status="active",
            page=query["page"],
            page_size=query["page_size"],
        )
    )
    return {"tenant_id": tenant_id, "agents": page.items, "count": page.total}


@blp.get("/chat/history", unit="none", errors=IDENTITY)
@blp.arguments(schemas.HistoryQuery, location="query")
@blp.response(200, page_of(schemas.HistoryMessage))
def get_history(query: dict[str, Any]) -> Page[Any]:
    """List the messages of a stream

    The agent is the key's, which goes into `Authorization: Bearer` or `X-API-Key`.
    """
    caller, name = caller_of(query), streams.named(query)
    return runtime().read(
        lambda session: streams.history(
            session,
            *service.known_agent(session, caller),
            name,
            page=query["page"],
            page_size=query["page_size"],
        )
    )


@blp.delete("/chat/history", unit="none", errors=IDENTITY)
@blp.arguments(schemas.StreamQuery, location="query")
@blp.response(200, schemas.HistoryDeleted)
def delete_history(query: dict[str, Any]) -> dict[str, Any]:
    """Delete the messages of a stream

    The agent is the key's, which goes into `Authorization: Bearer` or `X-API-Key`.
    """
    caller, name = caller_of(query), streams.named(query)
    deleted = runtime().write(
        lambda session: streams.forget(session, *service.known_agent(session, caller), name),
        actor(),
    )
    return {
        "platform": name.platform, "chat_identifier": name.chat_identifier, "deleted": deleted,
    }  # fmt: skip
