"""What one connection may say when: frames in, answers and commands out; no socket, no clock.

Whoever holds the socket gives each frame to `Connection.receive` and does what comes of it: sends
an Answer, runs a Command (and sends what comes of that), or closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from maimconfig import clock
from maimconfig.http.errors import (
    AppError,
    ChatSessionNotFound,
    Forbidden,
    RateLimited,
    Unauthenticated,
)
from maimconfig.i18n import Locale, Text, localized
from maimconfig.realtime import frames
from maimconfig.realtime.allowance import Allowance, Allowances
from maimconfig.realtime.fields import FrameInvalid, read
from maimconfig.realtime.frames import FROM_CLIENT, Auth, CloseCode, Command, FrameId, Ping, encoded

FRAMES_A_MINUTE = 600  # of all types but message, which has an allowance of its own
ERRORS_A_MINUTE = 60
LOGINS = 5  # that may fail on a connection
LONGEST_ID = 100  # characters of a frame's id

TEXTS = {
    "INVALID_JSON": Text("帧不是JSON对象", "The frame is no JSON object"),
    "MISSING_TYPE": Text("帧缺少类型", "The frame has no type"),
    "UNKNOWN_TYPE": Text("未知的帧类型", "Unknown type of frame"),
    "NOT_AUTHENTICATED": Text("未认证", "Not authenticated"),
    "RATE_LIMITED": Text("发送过于频繁", "Too many at once"),
    "MESSAGE_TOO_LONG": Text("消息过长", "The message is too long"),
    "INVALID_MESSAGE_FORMAT": Text("帧内容无效", "The frame's data is invalid"),
}


@dataclass(frozen=True)
class Answer:
    """A frame to send."""

    frame: bytes


@dataclass(frozen=True)
class Close:
    """The connection is to be closed.

    Attributes:
        code: why.
        last: a frame to send before.
    """

    code: CloseCode
    last: bytes | None = None


Outcome = Answer | Close | Command


@dataclass
class Limits:
    """What all connections of a process share.

    Attributes:
        message_length: characters of a message.
        messages: of each user in each session.
    """

    message_length: int
    messages: Allowances


@dataclass(slots=True)
class Connection:
    """One connection, from its greeting on.

    Attributes:
        connection_id: of this connection.
        limits: that hold for it.
        opened_at: seconds of the clock whose time the methods are given.
        session_id: that the path named, or None.
        locale: in which errors are told.
        whose: who has logged in, in any form that tells one from another; None before.
    """

    connection_id: str
    limits: Limits
    opened_at: float
    session_id: str | None = None
    locale: Locale = "zh"
    whose: str | None = None
    _frames: Allowance = field(default_factory=lambda: Allowance(FRAMES_A_MINUTE))
    _errors: Allowance = field(default_factory=lambda: Allowance(ERRORS_A_MINUTE))
    _failed_logins: int = 0

    def greeting(self) -> bytes:
        """The first frame."""
        return encoded(
            frames.Connected(self.connection_id, _server_time(), frames.HEARTBEAT_SECONDS)
        )

    def is_overdue(self, now: float) -> bool:
        """Whether the time for a login is over, and there was none."""
        return self.whose is None and now - self.opened_at >= frames.LOGIN_SECONDS

    def receive(self, raw: str | bytes, now: float) -> Outcome:
        """What comes of a frame.

        Args:
            raw: the frame; bytes when it was a binary one, which there are none of.
            now: seconds.
        """
        frame = _parsed(raw)
        if frame is None:
            return self.failure("INVALID_JSON", now=now)
        frame_id = _id_of(frame)
        kind = frame.get("type")
        if not isinstance(kind, str) or not kind:
            return self.failure("MISSING_TYPE", frame_id, now=now)
        if kind not in FROM_CLIENT:
            return self.failure("UNKNOWN_TYPE", frame_id, {"type": kind[:50]}, now=now)
        return self._receive(kind, frame, frame_id, now)

    def logged_in(
        self, command: Auth, whose: str, user_id: str | None, session_id: str | None
    ) -> Answer:
        """The answer to a login that was good."""
        self.whose = whose
        shown = frames.Authenticated("authenticated", user_id, session_id or self.session_id)
        return Answer(encoded(shown, command.id))

    def refused(self, command: Command, error: AppError, now: float) -> Answer | Close:
        """The answer to a command that was refused.

        Raise means roll back, so whatever was asked for has not happened.
        """
        if isinstance(command, Auth) and isinstance(error, (Unauthenticated, Forbidden)):
            self._failed_logins += 1
            last = self._error(code_of(error), error.reason, command.id, error.details)
            if self._failed_logins >= LOGINS:
                return Close(CloseCode.NOT_AUTHENTICATED, last)
            return Answer(last)
        return self.failure(
            code_of(error), command.id, error.details or {}, message=error.reason, now=now
        )

    def failure(
        self,
        code: str,
        frame_id: FrameId = None,
        details: Any = None,
        *,
        message: str | None = None,
        now: float,
    ) -> Answer | Close:
        """An error frame, or the end for who makes too many."""
        frame = self._error(code, message or TEXTS[code], frame_id, details)
        if self._errors.take(now):
            return Close(CloseCode.POLICY, frame)
        return Answer(frame)

    def _receive(self, kind: str, frame: dict[str, Any], frame_id: FrameId, now: float) -> Outcome:
        if self.whose is None and kind not in ("auth", "ping"):
            return self.failure("NOT_AUTHENTICATED", frame_id, now=now)
        if kind != "message" and (wait := self._frames.take(now)):
            return self._limited(frame_id, wait, now)
        try:
            command = read(FROM_CLIENT[kind], self._data(kind, frame), frame_id)
        except FrameInvalid as error:
            return self.failure("INVALID_MESSAGE_FORMAT", frame_id, error.details, now=now)
        if isinstance(command, Ping):
            return Answer(encoded(frames.Pong(_server_time()), frame_id))
        if isinstance(command, frames.Message):
            return self._message(command, now)
        if isinstance(command, frames.System):
            return self._counted(command, now)
        return command

    def _message(self, command: frames.Message, now: float) -> Outcome:
        if len(command.content) > self.limits.message_length:
            details = {"limit": self.limits.message_length, "length": len(command.content)}
            return self.failure("MESSAGE_TOO_LONG", command.id, details, now=now)
        return self._counted(command, now)

    def _counted(self, command: frames.Message | frames.System, now: float) -> Outcome:
        """What all in a session are told of has a place in the sender's minute."""
        if wait := self.limits.messages.take((self.whose, command.session_id), now):
            return self._limited(command.id, wait, now)
        return command

    def _data(self, kind: str, frame: dict[str, Any]) -> dict[str, Any]:
        data = frame.get("data")
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise FrameInvalid("data", Text("必须是对象", "Must be an object"))
        if self.session_id and kind not in ("auth", "ping") and data.get("session_id") is None:
            return {**data, "session_id": self.session_id}
        return data

    def _limited(self, frame_id: FrameId, wait: float, now: float) -> Answer | Close:
        return self.failure("RATE_LIMITED", frame_id, {"retry_after": round(wait, 1)}, now=now)

    def _error(self, code: str, message: str, frame_id: FrameId, details: Any) -> bytes:
        shown = frames.Failure(
            code, localized(message, self.locale), localized(details or {}, self.locale)
        )
        return encoded(shown, frame_id)


def code_of(error: AppError) -> str:
    """The gateway's code of an error, or the API's where it has none of its own."""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return error.code


_CODES: dict[type[AppError], str] = {
    Unauthenticated: "NOT_AUTHENTICATED",
    ChatSessionNotFound: "SESSION_NOT_FOUND",
    RateLimited: "RATE_LIMITED",
    Forbidden: "FORBIDDEN",
}


def _parsed(raw: str | bytes) -> dict[str, Any] | None:
    if isinstance(raw, bytes):
        return None
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return frame if isinstance(frame, dict) else None


def _id_of(frame: dict[str, Any]) -> FrameId:
    """What the client calls a frame, where it can be echoed."""
    found = frame.get("id")
    if isinstance(found, str):
        return found if len(found) <= LONGEST_ID else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _server_time() -> str:
    return clock.wire(clock.now())
