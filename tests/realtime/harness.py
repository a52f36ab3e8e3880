"""Clients of the gateway over real sockets, and the gateway itself in this process."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from maimconfig.realtime.gateway import Gateway
from maimconfig.runtime import Runtime
from maimconfig.security import tokens
from maimconfig.serving.sockets import Bind, address_of, open_listener
from maimconfig.users import sessions as logins
from maimconfig.users.models import User
from tests.factories.conversations import Talk
from tests.serving.harness import PATIENCE, eventually


class RunningGateway:
    """A gateway on a free port of this process.

    Attributes:
        url: of its WebSocket.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.gateway = Gateway(runtime)
        listener = open_listener(Bind("127.0.0.1", 0))
        self.url = f"ws://{address_of(listener)}/ws"
        self.gateway.start(listener, 1000)

    def client(self, token: str | None = None, **given: Any) -> Client:
        """A client that has logged in, when it has a token."""
        found = Client(self.url, **given)
        if token is not None:
            found.log_in(token)
        return found

    def drain(self, *, restart: bool = False) -> None:
        """Have all clients go, and wait until they have."""
        self.gateway.drain(restart)
        eventually(lambda: not self.gateway.is_busy())

    def end(self) -> None:
        """End it."""
        self.gateway.end()
        self.gateway.runtime.realtime_address = None


class Client:
    """A WebSocket client that speaks the gateway's frames."""

    def __init__(self, url: str, **given: Any) -> None:
        given.setdefault("open_timeout", PATIENCE)
        self._ends = contextlib.ExitStack()
        self.socket = self._ends.enter_context(
            connect(url, compression=None, max_queue=None, **given)
        )
        self.connection = self.receive("connection")

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go."""
        self._ends.close()

    def send(self, kind: str, *, id: Any = None, **data: Any) -> None:
        """Send a frame."""
        self.socket.send(json.dumps({"type": kind, "data": data, **({"id": id} if id else {})}))

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next frame, whatever it is."""
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout))
        assert set(frame) <= {"type", "data", "timestamp", "id"}
        return frame

    def receive(self, kind: str) -> dict[str, Any]:
        """The data of the next frame, which must be of this type."""
        frame = self.next()
        assert frame["type"] == kind, frame
        data: dict[str, Any] = frame["data"]
        return data

    def until(self, kind: str) -> dict[str, Any]:
        """The data of the next frame of this type; others are passed over."""
        while (frame := self.next())["type"] != kind:
            pass
        data: dict[str, Any] = frame["data"]
        return data

    def log_in(self, token: str) -> dict[str, Any]:
        """Say who it is."""
        self.send("auth", token=token)
        return self.receive("auth")

    def join(self, talk: Talk, after_seq: int | None = None) -> dict[str, Any]:
        """Listen to a session."""
        given = {} if after_seq is None else {"after_seq": after_seq}
        self.send("join_session", session_id=talk.chat.id, **given)
        return self.receive("session_joined")

    def say(self, talk: Talk, content: str = "hello", **given: Any) -> None:
        """Send a message."""
        self.send("message", session_id=talk.chat.id, content=content, **given)

    def seqs(self, count: int) -> list[int]:
        """The seq of the next so many messages."""
        return [self.until("message")["seq"] for _ in range(count)]

    def silence(self, seconds: float = 0.3) -> list[str]:
        """The types of what comes within some time."""
        found = []
        try:
            while True:
                found.append(self.next(seconds)["type"])
        except TimeoutError:
            return found

    def closed(self) -> int | None:
        """The code with which the gateway closes; what came before is passed over."""
        try:
            while True:
                self.socket.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None

    def rest(self) -> Iterator[dict[str, Any]]:
        """All frames until the gateway closes."""
        try:
            while True:
                yield self.next()
        except ConnectionClosed:
            return


def token_of(talk: Talk) -> str:
    """The session's own token."""
    return tokens.make_chat_token(talk.runtime.vault, talk.chat.id, talk.chat.nonce)


def login_of(runtime: Runtime, user_id: str) -> str:
    """An access token of a user."""

    def begin(session: Any) -> str:
        return logins.begin(session, session.get_one(User, user_id), None).access_token

    return runtime.write(begin)


def raw_connection(url: str) -> socket.socket:
    """A TCP connection to where a WebSocket is, that holds little of what it is sent."""
    host, _, port = url.removeprefix("ws://").partition("/")[0].rpartition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.settimeout(PATIENCE)
    raw.connect((host, int(port)))
    return raw
