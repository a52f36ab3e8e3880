"""The protocol without a socket: whatever comes in, something sensible comes out."""

from __future__ import annotations

import json
import os
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maimconfig.http.errors import (
    ChatSessionNotFound,
    DatabaseUnavailable,
    RoleForbidden,
    SessionClosed,
    TokenInvalid,
)
from maimconfig.realtime import frames, protocol
from maimconfig.realtime.allowance import Allowance, Allowances
from maimconfig.realtime.frames import CloseCode
from maimconfig.realtime.protocol import Answer, Close, Connection, Limits

FRAMES = int(os.environ.get("MAIMCONFIG_TEST_FRAMES", "3000"))
PER_EXAMPLE = 10
SESSION = "sess_1"


def connection(*, logged_in: bool = True, messages: int = 60, **given: Any) -> Connection:
    """A connection at the time 0."""
    made = Connection("c1", Limits(100, Allowances(messages)), 0.0, **given)
    if logged_in:
        made.logged_in(frames.Auth("t"), "somebody", "user_1", None)
    return made


def text(kind: Any, data: Any = None, **more: Any) -> str:
    """A frame of a client."""
    return json.dumps({"type": kind, "data": data, **more})


def shown(outcome: protocol.Outcome) -> dict[str, Any]:
    """A frame that the gateway sends."""
    assert isinstance(outcome, (Answer, Close))
    frame = outcome.frame if isinstance(outcome, Answer) else outcome.last
    assert frame is not None
    found: dict[str, Any] = orjson.loads(frame)
    return found


def code(outcome: protocol.Outcome) -> str:
    """The code of an error frame."""
    frame = shown(outcome)
    assert frame["type"] == "error"
    assert set(frame["data"]) == {"code", "message", "details"}
    found: str = frame["data"]["code"]
    return found


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
anything = st.recursive(
    plain,
    lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text(max_size=8), of, max_size=4),
)
names = st.sampled_from(
    ["session_id", "content", "token", "client_id", "seq", "action", "is_typing", "after_seq",
     "metadata", "message_type", "reply_to", "other"]
)  # fmt: skip
good_values = st.sampled_from(
    [SESSION, "hello", 5, True, {"a": [1]}, "text", "request_handover", "x" * 200, "", -1, 2**60]
)
near_misses = st.fixed_dictionaries(
    {"type": st.sampled_from([*frames.FROM_CLIENT, "other", 5, None, ""])},
    optional={
        "data": st.dictionaries(names, good_values | anything, max_size=5) | anything,
        "id": anything,
        "timestamp": anything,
        "extra": anything,
    },
)
raw_frames = st.one_of(
    near_misses.map(json.dumps),
    anything.map(json.dumps),
    st.text(max_size=60),
    st.binary(max_size=30),
    st.sampled_from(['{"type":' * 2000, "[" * 100_000, '{"type":"ping","type":"auth"}']),
)


@settings(
    max_examples=max(1, FRAMES // PER_EXAMPLE),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(raw=st.lists(raw_frames, min_size=1, max_size=2 * PER_EXAMPLE - 1), logged_in=st.booleans())
def test_whatever_comes(raw: list[str | bytes], logged_in: bool) -> None:
    """Each frame leads to a frame, to a command that is whole and allowed, or to a close."""
    made = connection(logged_in=logged_in)
    for number, frame in enumerate(raw):
        outcome = made.receive(frame, float(number))
        if isinstance(outcome, (Answer, Close)):
            answer = shown(outcome)
            assert answer["type"] in {"pong", "error"}
            assert answer["type"] == "pong" or answer["data"]["code"] in frames.ERROR_DOCS
        else:
            assert logged_in or isinstance(outcome, frames.Auth)
            assert not isinstance(outcome, frames.Ping)
            is_whole(outcome)


def is_whole(command: Any) -> None:
    """A command has what its type says, so that nobody needs to look again."""
    assert isinstance(command, tuple(frames.FROM_CLIENT.values()))
    if isinstance(command, frames.Auth):
        assert 0 < len(command.token) <= 8192
        return
    assert command.session_id.replace("_", "").replace("-", "").isalnum()
    if isinstance(command, frames.Message):
        assert command.content.strip()
        assert len(command.content) <= 100
        assert "\0" not in command.content
        command.content.encode()
        assert command.client_id is None or command.client_id == command.client_id.strip() != ""
        orjson.dumps(command.metadata)
    if isinstance(command, (frames.Read, frames.JoinSession)):
        seq = command.seq if isinstance(command, frames.Read) else command.after_seq
        assert seq is None or (type(seq) is int and 0 <= seq <= 2**53)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        ("null", "INVALID_JSON"),
        ('"\\ud800"', "INVALID_JSON"),
        (b'{"type":"ping"}', "INVALID_JSON"),
        ("{}", "MISSING_TYPE"),
        (text(5), "MISSING_TYPE"),
        (text("nonsense"), "UNKNOWN_TYPE"),
        (text("message"), "INVALID_MESSAGE_FORMAT"),
        (text("message", []), "INVALID_MESSAGE_FORMAT"),
        (text("message", {"session_id": SESSION}), "INVALID_MESSAGE_FORMAT"),
        (text("message", {"session_id": SESSION, "content": " "}), "INVALID_MESSAGE_FORMAT"),
        (text("message", {"session_id": SESSION, "content": "a\0b"}), "INVALID_MESSAGE_FORMAT"),
        (text("message", {"session_id": "a b", "content": "x"}), "INVALID_MESSAGE_FORMAT"),
        (
            text("message", {"session_id": SESSION, "content": "x", "message_type": "system"}),
            "INVALID_MESSAGE_FORMAT",
        ),
        (
            text("message", {"session_id": SESSION, "content": "x", "metadata": {"a": "x" * 9000}}),
            "INVALID_MESSAGE_FORMAT",
        ),
        (text("message", {"session_id": SESSION, "content": "x" * 101}), "MESSAGE_TOO_LONG"),
        (text("join_session", {"session_id": SESSION, "after": 1}), "INVALID_MESSAGE_FORMAT"),
        (text("join_session", {"session_id": "s", "after_seq": True}), "INVALID_MESSAGE_FORMAT"),
        (text("read", {"session_id": SESSION, "seq": 1.5}), "INVALID_MESSAGE_FORMAT"),
        (text("system", {"session_id": SESSION, "action": "reboot"}), "INVALID_MESSAGE_FORMAT"),
    ],
)  # fmt: skip
def test_wrong_frames(raw: str | bytes, expected: str) -> None:
    """Each kind of wrong frame has its code."""
    assert code(connection().receive(raw, 0)) == expected


@pytest.mark.parametrize("kind", sorted(set(frames.FROM_CLIENT) - {"auth", "ping"}))
def test_nothing_without_a_login(kind: str) -> None:
    """Before a login every frame but auth and ping is refused, whatever is in it."""
    made = connection(logged_in=False)
    assert code(made.receive(text(kind, {"session_id": SESSION}), 0)) == "NOT_AUTHENTICATED"


def test_ping() -> None:
    """A ping is answered under its own id, with or without a login."""
    for made in (connection(), connection(logged_in=False)):
        answer = shown(made.receive(text("ping", id="p1"), 0))
        assert (answer["type"], answer["id"]) == ("pong", "p1")
        assert set(answer["data"]) == {"server_time"}


def test_errors_name_the_field_and_the_frame() -> None:
    """An error of a frame's data says which field, in the client's language, under its id."""
    for locale, message in (("zh", "缺少必填字段"), ("en", "Missing data for required field")):
        answer = shown(
            connection(locale=locale).receive(text("read", {"session_id": "s"}, id=7), 0)
        )
        assert answer["id"] == 7
        assert answer["data"]["details"] == {"seq": [message]}


def test_session_of_the_path() -> None:
    """A frame that names no session is about the one that the path named."""
    made = connection(session_id="sess_path")
    command = made.receive(text("message", {"content": "hello"}), 0)
    assert command == frames.Message("hello", "sess_path")
    other = made.receive(text("typing", {"session_id": SESSION}), 0)
    assert other == frames.Typing(SESSION)


def test_overdue_login() -> None:
    """Who hasn't logged in within 10 s is overdue, and who has never is."""
    made = connection(logged_in=False)
    assert not made.is_overdue(9.9)
    assert made.is_overdue(10.0)
    assert not connection().is_overdue(1000.0)


def test_messages_a_minute() -> None:
    """A user may send so many messages in a session in a minute, over whichever connection, and
    what hands the conversation over counts as one."""
    limits = Limits(100, Allowances(60))
    ones = [Connection(name, limits, 0.0) for name in ("c1", "c2")]
    for made in ones:
        made.logged_in(frames.Auth("t"), "somebody", None, None)
    message = text("message", {"session_id": SESSION, "content": "x"})
    for number in range(60):
        assert isinstance(ones[number % 2].receive(message, 0.0), frames.Message)
    refused = ones[0].receive(message, 0.5)
    assert code(refused) == "RATE_LIMITED"
    assert shown(refused)["data"]["details"] == {"retry_after": 0.5}
    handed = text("system", {"session_id": SESSION, "action": "request_handover"})
    assert code(ones[1].receive(handed, 0.5)) == "RATE_LIMITED"
    assert isinstance(ones[1].receive(handed, 1.0), frames.System)
    assert isinstance(ones[0].receive(message, 2.0), frames.Message)
    elsewhere = text("message", {"session_id": "sess_2", "content": "x"})
    assert isinstance(ones[0].receive(elsewhere, 1.0), frames.Message)


def test_too_many_frames() -> None:
    """Frames of other kinds are limited too, and who goes on all the same is closed."""
    made = connection()
    codes = [made.receive(text("ping"), 0.0) for _ in range(protocol.FRAMES_A_MINUTE + 1)]
    assert code(codes[-1]) == "RATE_LIMITED"
    outcomes = [made.receive(text("ping"), 0.0) for _ in range(protocol.ERRORS_A_MINUTE)]
    assert isinstance(outcomes[-1], Close)
    assert outcomes[-1].code == CloseCode.POLICY


def test_failed_logins() -> None:
    """The fifth login that fails on a connection ends it; an outage is no failed login."""
    made = connection(logged_in=False)
    login = frames.Auth("t", id=1)
    for _ in range(10):
        assert code(made.refused(login, DatabaseUnavailable(), 0.0)) == "SYS_002"
    for _ in range(4):
        assert code(made.refused(login, TokenInvalid(), 0.0)) == "NOT_AUTHENTICATED"
    end = made.refused(login, TokenInvalid(), 0.0)
    assert isinstance(end, Close)
    assert end.code == CloseCode.NOT_AUTHENTICATED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ChatSessionNotFound(), "SESSION_NOT_FOUND"),
        (RoleForbidden("message.send"), "FORBIDDEN"),
        (TokenInvalid(), "NOT_AUTHENTICATED"),
        (SessionClosed(), "CHAT_005"),
    ],
)
def test_refused_commands(error: Any, expected: str) -> None:
    """An error of a service has the gateway's code, or the API's where there is none."""
    answer = connection(locale="en").refused(frames.LeaveSession(SESSION, id="x"), error, 0.0)
    assert code(answer) == expected
    assert shown(answer)["id"] == "x"


def test_allowance_fills_up() -> None:
    """An allowance of 60 gives 60 at once and then one a second; when full it may be forgotten."""
    allowance = Allowance(60)
    assert allowance.is_full(0.0)
    assert [allowance.take(0.0) for _ in range(60)] == [0.0] * 60
    assert allowance.take(0.25) == pytest.approx(0.75)
    assert allowance.take(1.25) == 0.0
    assert not allowance.is_full(59.0)
    assert allowance.is_full(62.0)
