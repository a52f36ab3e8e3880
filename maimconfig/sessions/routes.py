"""/api/v1/chat: sessions and what is said in them."""

from __future__ import annotations

from typing import Any

from flask import Response

from maimconfig.conversations import intake
from maimconfig.conversations import messages as conversation_messages
from maimconfig.conversations.messages import History
from maimconfig.db.session import Session
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import actor, current, runtime, session
from maimconfig.http.parsing import load_body
from maimconfig.key_checks.refusals import REFUSED
from maimconfig.security import tokens
from maimconfig.sessions import access, callers, changes, schemas, sending, service
from maimconfig.sessions.callers import Opened

blp = Blueprint(
    "sessions",
    __name__,
    style="plain",
    url_prefix="/api/v1/chat",
    description="Conversations of contacts with agents and the people behind them. A session is "
    "open to its own token, to its agent's key (permission chat), to the login that began it, and "
    "to staff.",
)

WHO = (*REFUSED, errors.KeyForbidden, errors.RateLimited)
UNKNOWN = (*WHO, errors.ChatSessionNotFound)
SAID = (
    *UNKNOWN, errors.RoleForbidden, errors.SessionClosed, errors.TransitionForbidden,
    errors.ConversationTaken, errors.RateLimited,
)  # fmt: skip


def _asked_for_session() -> Any:
    return access.principal_or_guest(load_body(schemas.ChatSessionCreate()))


@blp.post(
    "/sessions",
    creates=True,
    first=_asked_for_session,
    errors=(
        *WHO, errors.GuestsNotAllowed, errors.AgentNotFound, errors.ConversationNotFound,
        errors.TooManySessions, errors.TransitionForbidden,
    ),
)  # fmt: skip
@blp.arguments(schemas.ChatSessionCreate)
@blp.response(200, schemas.NewChatSessionOut)
def create_session(payload: dict[str, Any]) -> dict[str, Any]:
    """Begin a session, in a conversation of its own

    With an agent's key, a login, or as a guest where the tenant's `guest_chat` is true. The token
    is shown only here, and good for this session alone.
    """
    chat = service.begin(session(), access.wanted(session(), current().prepared, payload))
    current().headers["Cache-Control"] = "no-store"
    shown = service.shown(session(), *service.get(session(), chat.id))
    return {**shown, "token": tokens.make_chat_token(runtime().vault, chat.id, chat.nonce)}


@blp.get("/sessions/<id:session_id>", first=access.principal, etag=True, errors=UNKNOWN)
@blp.response(200, schemas.ChatSessionOut)
def get_session(session_id: str) -> dict[str, Any]:
    """Show a session"""
    return _shown(_opened(session_id))


@blp.put(
    "/sessions/<id:session_id>",
    first=access.principal,
    etag=True,
    errors=(*UNKNOWN, errors.RoleForbidden, errors.SessionClosed),
)
@blp.arguments(schemas.ChatSessionChange)
@blp.response(200, schemas.ChatSessionOut)
def change_session(payload: dict[str, Any], session_id: str) -> dict[str, Any]:
    """Change a session's metadata or context, wake it or close it"""
    used = _used(session_id)
    changes.change(session(), used.session_id, payload, expected_revisions(), by=used)
    return _shown(used)


@blp.delete(
    "/sessions/<id:session_id>",
    first=access.principal,
    etag=True,
    errors=(*UNKNOWN, errors.RoleForbidden),
)
@blp.response(204)
def close_session(session_id: str) -> Response:
    """Close a session; its conversation stays"""
    changes.close(session(), session_id, expected_revisions(), by=_used(session_id))
    return Response(status=204)


@blp.get(
    "/sessions/<id:session_id>/messages",
    first=access.principal,
    errors=(*UNKNOWN, errors.ChatMessageNotFound),
)
@blp.arguments(schemas.MessagesQuery, location="query")
@blp.response(200, schemas.MessagesOut)
def list_messages(query: dict[str, Any], session_id: str) -> History:
    """List a conversation's messages, in order

    The last ones; with `before` the last ones before a message, with `after` the first ones after.
    """
    used = _opened(session_id)
    return conversation_messages.history(
        session(),
        used.conversation_id,
        private=used.side == "staff",
        limit=query["limit"],
        before=query.get("before"),
        following=query.get("after"),
    )


@blp.post(
    "/sessions/<id:session_id>/switch-agent",
    first=access.principal,
    errors=(*UNKNOWN, errors.RoleForbidden, errors.SessionClosed, errors.TransitionForbidden),
)
@blp.arguments(schemas.SwitchAgent)
@blp.response(200, schemas.ChatSessionOut)
def switch_agent(payload: dict[str, Any], session_id: str) -> dict[str, Any]:
    """Have a person answer, or the AI again"""
    used = _used(session_id)
    _count(session(), used)
    changes.switch_agent(session(), used, payload["agent_type"], payload.get("reason"))
    return _shown(used)


@blp.post("/messages", creates=True, first=access.principal, errors=SAID)
@blp.arguments(schemas.ChatMessageCreate)
@blp.response(200, schemas.ChatMessageOut)
def create_message(payload: dict[str, Any]) -> dict[str, Any]:
    """Say something in a session

    A `client_id` that was seen before gets the first answer again.
    """
    if payload.get("session_id"):
        used = _opened(payload["session_id"])
    else:
        used = callers.opened_of_conversation(
            session(), current().prepared, payload["conversation_id"]
        )
    return _say(session(), used, sending.incoming(used, payload))


@blp.post("/send", unit="none", errors=(*SAID, errors.Busy, errors.DatabaseUnavailable))
@blp.arguments(schemas.Send)
@blp.response(200, schemas.Sent)
def send(payload: dict[str, Any]) -> dict[str, Any]:
    """Say something, and wait for the AI's reply

    `reply` is null when a person has the conversation, and when it takes longer than the agent's
    time-out (`pending`).
    """
    slots = runtime().reply_slots(current().plane)
    with slots.held():
        who = access.principal()
        used = runtime().read(lambda unit: callers.opened(unit, who, payload["session_id"]))
        with slots.had_by(f"{used.session_id}:{used.sender_id}", sending.WAITING_AT_ONCE):
            said = sending.incoming(used, {**payload, "content": payload["message"]})
            message = runtime().write(lambda unit: _say(unit, used, said), actor())
            seconds = runtime().read(lambda unit: sending.patience(unit, used))
            reply = sending.wait_for_reply(runtime(), message, seconds)
    return {"message": message, "reply": reply.message, "pending": reply.pending}


@blp.post(
    "/messages/<id:message_id>/feedback",
    first=access.principal,
    errors=(*WHO, errors.ChatMessageNotFound),
)
@blp.arguments(schemas.Feedback)
@blp.response(200, schemas.ChatMessageOut)
def rate_message(payload: dict[str, Any], message_id: str) -> dict[str, Any]:
    """Rate a reply, and the conversation with it"""
    return sending.rate(
        session(), current().prepared, message_id, payload["rating"], payload.get("comment")
    )


def _say(unit: Session, used: Opened, said: intake.Incoming) -> dict[str, Any]:
    _count(unit, used)
    return intake.store(unit, said).message


def _count(unit: Session, used: Opened) -> None:
    """What a contact does that costs something has a place in its minute."""
    if used.side == "contact":
        verdict = sending.take_minute(unit, used)
        current().headers.update(verdict.headers)


def _opened(session_id: str) -> Opened:
    """The session, for whoever `access.principal` found out to ask."""
    return callers.opened(session(), current().prepared, session_id)


def _used(session_id: str) -> Opened:
    """The session, for somebody who may change something about it."""
    used = _opened(session_id)
    if not used.may_send:
        raise errors.RoleForbidden("message.send")
    return used


def _shown(used: Opened) -> dict[str, Any]:
    chat, conversation = service.get(session(), used.session_id)
    revision_etag(chat.revision, conversation.revision, chat.last_activity_at.timestamp())
    return service.shown(session(), chat, conversation)
