"""Every frame, both ways; docs/realtime.md is made of these types.

A frame is a JSON object `{type, data, id?, timestamp}`. A class here is the `data` of one type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson

from maimconfig import clock
from maimconfig.realtime.fields import BOOLEAN, CONTENT, ID, OBJECT, SEQ, one_of, said, text

LARGEST_FRAME = 1024 * 1024  # bytes (contract, Limits)
HEARTBEAT_SECONDS = 30  # between two protocol pings
SILENCE_SECONDS = 60  # after which a peer is taken for gone
LOGIN_SECONDS = 10  # that a client has to say who it is

MESSAGE_TYPES = ("text", "image", "file", "audio", "video")
ACTIONS = ("request_handover", "ai_takeover")

FrameId = str | int | None

_SESSION_DOC = "The session; may be left out on /ws/chat/{session_id}, which names it."


class CloseCode(IntEnum):
    """Why the gateway closes a connection (RFC 6455, and 4000 to 4999 of our own)."""

    GOING_AWAY = 1001
    POLICY = 1008
    RESTART = 1012
    TRY_AGAIN = 1013
    NOT_AUTHENTICATED = 4401


CLOSE_DOCS: Mapping[int, str] = {
    1001: "The service stops. Reconnect with back-off.",
    1007: "A text frame wasn't UTF-8.",
    1008: "Too many wrong frames, or too many frames, in a row.",
    1009: f"A frame had more than {LARGEST_FRAME} bytes.",
    1012: "The process is replaced by a new one. Reconnect at once.",
    1013: "The client read too slowly. Reconnect, and resume by after_seq.",
    4401: f"No login within {LOGIN_SECONDS} s, too many that failed, or the login has ended.",
}

# Codes of errors that this gateway finds itself; those of the API's own error codes come as well.
ERROR_DOCS: Mapping[str, str] = {
    "INVALID_JSON": "The frame is no JSON object, or not text.",
    "MISSING_TYPE": "The frame has no `type`, or one that isn't text.",
    "UNKNOWN_TYPE": "No such type.",
    "NOT_AUTHENTICATED": "Nobody is logged in, or the token isn't good.",
    "FORBIDDEN": "Known, but not allowed.",
    "SESSION_NOT_FOUND": "No such session, or somebody else's.",
    "RATE_LIMITED": "Too many messages or frames; `details.retry_after` is in seconds.",
    "MESSAGE_TOO_LONG": "`content` has too many characters; `details.limit` says how many it may.",
    "INVALID_MESSAGE_FORMAT": "`data` isn't what the type wants; `details` tells field by field.",
}


# What clients send. Each is read by `fields.read`, and is then what the gateway is to do.


@dataclass(frozen=True)
class Auth:
    """Says who the client is; again with a newer token before the one in use ends."""

    token: str = said(text(8192), "A JWT, an mmc_ key, or a session's token.")
    id: FrameId = None


@dataclass(frozen=True)
class Message:
    """Sends a message; with a client_id it may be sent again until it is answered."""

    content: str = said(CONTENT, "What is said.")
    session_id: str = said(ID, _SESSION_DOC)
    message_type: str = said(one_of(MESSAGE_TYPES), "What content is.", "text")
    client_id: str | None = said(
        text(100), "The client's own name of the message; a repeated one is stored once.", None
    )
    metadata: dict[str, Any] | None = said(OBJECT, "Kept as it is.", None)
    reply_to: str | None = said(ID, "The id of the message that this one answers.", None)
    id: FrameId = None


@dataclass(frozen=True)
class Typing:
    """Tells the others that somebody types, or no longer does."""

    session_id: str = said(ID, _SESSION_DOC)
    is_typing: bool = said(BOOLEAN, "Whether somebody types.", True)
    id: FrameId = None


@dataclass(frozen=True)
class JoinSession:
    """Listens to a session: first to what came after after_seq, then live."""

    session_id: str = said(ID, _SESSION_DOC)
    after_seq: int | None = said(
        SEQ, "The last seq that the client has; without it only what comes is told.", None
    )
    id: FrameId = None


@dataclass(frozen=True)
class LeaveSession:
    """Listens no longer."""

    session_id: str = said(ID, _SESSION_DOC)
    id: FrameId = None


@dataclass(frozen=True)
class System:
    """Asks for a person, or gives the conversation back to the AI."""

    action: str = said(one_of(ACTIONS), "What is asked for.")
    session_id: str = said(ID, _SESSION_DOC)
    id: FrameId = None


@dataclass(frozen=True)
class Read:
    """Tells that all messages up to one were read."""

    session_id: str = said(ID, _SESSION_DOC)
    seq: int = said(SEQ, "The seq of the last message that was read.")
    id: FrameId = None


@dataclass(frozen=True)
class Ping:
    """Asks whether the gateway is there; the only frame that needs no login."""

    id: FrameId = None


Received = Auth | Message | Typing | JoinSession | LeaveSession | System | Read | Ping
Command = Auth | Message | Typing | JoinSession | LeaveSession | System | Read

FROM_CLIENT: Mapping[str, type[Received]] = {
    "auth": Auth,
    "message": Message,
    "typing": Typing,
    "join_session": JoinSession,
    "leave_session": LeaveSession,
    "system": System,
    "read": Read,
    "ping": Ping,
}


# What the gateway sends.

# A stored message; the conversations' own package shows it.
MESSAGE_DOCS: Mapping[str, str] = {
    "id": "Of the message.",
    "seq": "1, 2, 3 … in its conversation without a gap; null of a private note.",
    "conversation_id": "Of its conversation.",
    "session_id": "Of the session that it was sent in; null of staff's.",
    "sender_type": "`contact`, `agent` (a person), `ai` or `system`.",
    "sender_id": "The contact's, the user's or the agent's id; null of the system.",
    "content": "What is said.",
    "message_type": "`text`, `image`, `file`, `audio`, `video`, `system` or `event`.",
    "metadata": "As it was sent.",
    "is_private": "Whether it is a note that the contact never sees.",
    "created_at": "When it was stored.",
    "client_id": "The sender's own name of it, or null.",
    "reply_to": "The id of the message that it answers, or null.",
    "state": "`complete`; `partial` of an answer that broke.",
    "rating": "1 to 5 as the contact rated it, or null.",
}


def told(doc: str) -> Any:
    """A field that the gateway sends; the text is for docs/realtime.md."""
    return field(metadata={"doc": doc})


@dataclass(frozen=True)
class Connected:
    """The first frame of every connection."""

    connection_id: str = told("Of this connection.")
    server_time: str = told("Now.")
    heartbeat_seconds: int = told("Between two pings of the protocol, which browsers answer.")


@dataclass(frozen=True)
class Authenticated:
    """The answer to auth."""

    status: str = told("`authenticated`.")
    user_id: str | None = told("Of the login or the session; null for an API key.")
    session_id: str | None = told("Of the session whose token it was, else of the path, or null.")


@dataclass(frozen=True)
class MessageSent:
    """The answer to message: it is stored."""

    message_id: str = told("Of the message.")
    session_id: str = told("Of the session.")
    seq: int | None = told("Its place in the conversation.")
    client_id: str | None = told("As it was sent.")


@dataclass(frozen=True)
class SessionJoined:
    """The answer to join_session; what was missed follows, then what comes."""

    session_id: str = told("Of the session.")
    conversation_id: str = told("Of its conversation.")
    last_seq: int = told("Of the newest message there is.")
    agent_type: str = told("`ai` or `human`: who answers now.")
    assignee: str | None = told("The user id of the person who has it, or null.")
    status: str = told("`open`, `pending`, `resolved` or `closed`.")
    session_status: str = told("`active`, `idle`, `expired` or `closed`.")


@dataclass(frozen=True)
class SessionLeft:
    """The answer to leave_session."""

    session_id: str = told("Of the session.")


@dataclass(frozen=True)
class TypingTold:
    """Somebody else types."""

    session_id: str = told("Of the session.")
    side: str = told("`contact` or `staff`: who types.")
    user_id: str = told("Of the contact, or of the person.")
    is_typing: bool = told("Whether they still do.")


@dataclass(frozen=True)
class ReadTold:
    """Somebody has read up to a message."""

    session_id: str = told("Of the session.")
    side: str = told("`contact` or `staff`: who has read.")
    seq: int = told("The last that was read.")


@dataclass(frozen=True)
class AiStream:
    """A part of an answer that is being made; the stored message follows when it is whole.

    What was streamed is thrown away when a person takes over meanwhile: then no message follows.
    """

    session_id: str = told("Of the session.")
    message_id: str = told("Of the message to be.")
    delta: str = told("What comes next.")
    is_complete: bool = told("Whether it was the last part.")
    discarded: bool = told("True, and only then there, when no message will follow.")


@dataclass(frozen=True)
class StatusUpdate:
    """The conversation or the session has changed."""

    session_id: str = told("Of the session.")
    agent_type: str = told("`ai` or `human`: who answers now.")
    assignee: str | None = told("The user id of the person who has it, or null.")
    status: str = told("`open`, `pending`, `resolved` or `closed`.")
    session_status: str = told("`active`, `idle`, `expired` or `closed`.")


@dataclass(frozen=True)
class Pong:
    """The answer to ping."""

    server_time: str = told("Now.")


@dataclass(frozen=True)
class Failure:
    """What went wrong; the connection stays unless a close follows."""

    code: str = told("One of the codes below, or one of the API's error codes.")
    message: str = told("For people, in the language of the handshake's Accept-Language.")
    details: dict[str, Any] = told("What exactly.")


FROM_SERVER: Mapping[str, type] = {
    "connection": Connected,
    "auth": Authenticated,
    "message_sent": MessageSent,
    "session_joined": SessionJoined,
    "session_left": SessionLeft,
    "typing": TypingTold,
    "read": ReadTold,
    "ai_stream": AiStream,
    "status_update": StatusUpdate,
    "pong": Pong,
    "error": Failure,
}
_TYPE_OF = {kind: name for name, kind in FROM_SERVER.items()}


def encoded(data: Any, frame_id: FrameId = None) -> bytes:
    """A frame of the gateway, as it goes over the wire.

    Args:
        data: one of the classes of FROM_SERVER.
        frame_id: of the frame that it answers.
    """
    return _encoded(_TYPE_OF[type(data)], data, frame_id)


def encoded_message(shown: Mapping[str, Any]) -> bytes:
    """The frame of a stored message.

    Args:
        shown: the message as everybody sees it.
    """
    return _encoded("message", shown, None)


def encoded_passing(kind: str, data: Mapping[str, Any]) -> bytes:
    """The frame of something that is told and not kept: typing, read or ai_stream."""
    return _encoded(kind, data, None)


def _encoded(kind: str, data: Any, frame_id: FrameId) -> bytes:
    frame = {"type": kind, "data": data, "timestamp": clock.wire(clock.now())}
    if frame_id is not None:
        frame["id"] = frame_id
    return orjson.dumps(frame)
