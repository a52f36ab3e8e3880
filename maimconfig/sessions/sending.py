"""What callers of a session do in its conversation: say something, wait for the reply, rate it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from maimconfig.chat import service as chat
from maimconfig.chat.wanted import Caller
from maimconfig.conversations import intake, owed
from maimconfig.conversations import service as conversations
from maimconfig.conversations.messages import TABLE, shown
from maimconfig.conversations.models import ConversationMessage
from maimconfig.db.session import Session
from maimconfig.events import Event, Look
from maimconfig.http.errors import (
    AppError,
    ChatMessageNotFound,
    ChatSessionNotFound,
    DatabaseUnavailable,
    RateLimited,
    RoleForbidden,
)
from maimconfig.rate_limits import service as rate_limits
from maimconfig.rate_limits.service import RateVerdict
from maimconfig.sessions.callers import Opened, Principal, opened_of_conversation

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

# A reply that another process stores is found after this, when nothing tells of it.
LOOK_SECONDS = 0.5
USUAL_SECONDS = 30.0

WAITING_AT_ONCE = 2  # replies of a session that one caller waits for in a process

MINUTE = timedelta(minutes=1)


class Reply(NamedTuple):
    """What became of a reply that was waited for.

    Attributes:
        message: as it is shown; None when there is none.
        pending: it is still owed.
    """

    message: dict[str, Any] | None
    pending: bool


def incoming(used: Opened, payload: Mapping[str, Any]) -> intake.Incoming:
    """The message of a checked body, from whoever uses a session.

    Raises:
        RoleForbidden: staff that only read.
    """
    if not used.may_send:
        raise RoleForbidden("message.send")
    return intake.Incoming(
        tenant_id=used.tenant_id,
        conversation_id=used.conversation_id,
        session_id=used.session_id if used.side == "contact" else None,
        sender_type="contact" if used.side == "contact" else "agent",
        sender_id=used.sender_id,
        content=payload["content"],
        message_type=payload.get("message_type") or "text",
        client_id=payload.get("client_id"),
        metadata=payload.get("metadata") or {},
    )


def take_minute(session: Session, used: Opened) -> RateVerdict:
    """Take a place in the minute of a session, in which its contact may only say so much.

    Raises:
        RateLimited: none is left.
    """
    limit = session.runtime.settings.realtime_messages_per_minute
    verdict = rate_limits.take(session, f"session:{used.session_id}", limit=limit, window=MINUTE)
    if not verdict.allowed:
        raise RateLimited(retry_after=verdict.reset, headers=verdict.headers)
    return verdict


def wait_for_reply(runtime: Runtime, message: Mapping[str, Any], seconds: float) -> Reply:
    """Wait for the AI's reply to a contact's message.

    Args:
        message: as it is shown.
        seconds: for how long.
    """
    told = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Look) and event.conversation_id == message["conversation_id"]:
            told.set()

    until = time.monotonic() + seconds
    unsubscribe = runtime.bus.subscribe(listen)
    try:
        while True:
            told.clear()
            reply = runtime.read(lambda session: _reply(session, message))
            left = until - time.monotonic()
            if not reply.pending or left <= 0:
                return reply
            told.wait(min(LOOK_SECONDS, left))
    finally:
        unsubscribe()


def patience(session: Session, used: Opened) -> float:
    """Seconds that a reply of the session's agent may take."""
    try:
        return chat.resolve(session, Caller(used.tenant_id, used.agent_id)).timeout
    except DatabaseUnavailable:
        raise
    except AppError:  # it doesn't chat now: the conversation goes to a person soon
        return USUAL_SECONDS


def rate(
    session: Session, who: Principal, message_id: str, rating: int, comment: str | None
) -> dict[str, Any]:
    """Keep what a contact thinks of a message, and of the conversation therefore.

    Raises:
        ChatMessageNotFound: there is none that the caller may rate.
    """
    message = session.get(ConversationMessage, message_id)
    if message is None or message.sender_type not in ("ai", "agent") or message.is_private:
        raise ChatMessageNotFound
    try:
        used = opened_of_conversation(session, who, message.conversation_id)
    except ChatSessionNotFound as error:
        raise ChatMessageNotFound from error
    if used.side != "contact":
        raise ChatMessageNotFound(internal="staff don't rate")
    conversation = conversations.locked(session, used.conversation_id)
    message.rating, message.rating_comment = rating, comment
    conversation.satisfaction, conversation.satisfaction_comment = rating, comment
    conversations.touched(session, conversation)
    session.flush()
    row = session.execute(select(TABLE).where(TABLE.c.id == message_id)).mappings().one()
    return shown(row)


def _reply(session: Session, message: Mapping[str, Any]) -> Reply:
    columns = TABLE.c
    # What is owed is looked at first: it is deleted by the transaction that stores the reply.
    pending = owed.is_owed(session, message["id"])
    found = select(TABLE).where(
        columns.conversation_id == message["conversation_id"],
        columns.seq > message["seq"],
        columns.reply_to == message["id"],
        columns.sender_type == "ai",  # anybody may name what they reply to
    )
    row = session.execute(found.order_by(columns.seq).limit(1)).mappings().first()
    return Reply(shown(row), False) if row is not None else Reply(None, pending)
