"""A receiver of webhooks on loopback, which answers as a test wants.

    with Receiver() as receiver:
        receiver.default = status(200)              # what every delivery gets
        receiver.script(status(500), redirect("…")) # what the next two get instead
        receiver.by_path["/slow"] = silent          # what a path gets, always
        receiver.wait(2)                            # the first two deliveries, verified or not

An answer is a function that gets the socket after the request was read, and may do what it likes.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook

PATIENCE = 60.0  # s; the machine may be busy with other tests

Answer = Callable[[socket.socket, "Receiver"], None]


@dataclass(frozen=True)
class Received:
    """A delivery as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        """Its JSON."""
        return json.loads(self.body)

    def verify(self, secret: str) -> Any:
        """The payload, when the reference library of Standard Webhooks takes it for genuine."""
        return Webhook(secret).verify(self.body, dict(self.headers))


def status(code: int, body: bytes = b"ok", **headers: str) -> Answer:
    """An answer with a status."""
    lines = [f"HTTP/1.1 {code} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return lambda connection, _: connection.sendall(head + body)


def redirect(to: str) -> Answer:
    """An answer that sends elsewhere, and keeps method and body."""
    return status(307, b"", location=to)


def silent(_: socket.socket, receiver: Receiver) -> None:
    """No answer, until the test is over."""
    receiver.over.wait(PATIENCE)


def cut(connection: socket.socket, _: Receiver) -> None:
    """A connection that breaks in the head of the answer."""
    connection.sendall(b"HTTP/1.1 200 O")


def garbage(connection: socket.socket, _: Receiver) -> None:
    """Something that isn't HTTP."""
    connection.sendall(b"\0" * 100 + b"\r\n\r\n")


def endless(code: int = 200) -> Answer:
    """An answer whose body has no end."""

    def answer(connection: socket.socket, receiver: Receiver) -> None:
        connection.sendall(f"HTTP/1.1 {code} X\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        while not receiver.over.is_set():
            connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            receiver.sent += 0x1000

    return answer


class Receiver(socketserver.ThreadingTCPServer):
    """The receiver; see the module.

    Attributes:
        received: deliveries in the order in which they came.
        sent: bytes of endless bodies that were taken from it.
        over: set when the test is over.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), None)
        self.default: Answer = status(200)
        self.by_path: dict[str, Answer] = {}
        self.received: list[Received] = []
        self.sent = 0
        self.over = threading.Event()
        self._script: deque[Answer] = deque()
        self._come = threading.Condition()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    def url(self, path: str = "/hook") -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}{path}"

    def script(self, *answers: Answer) -> None:
        """What the next deliveries get."""
        self._script.extend(answers)

    def wait(self, number: int, within: float = PATIENCE) -> list[Received]:
        """The deliveries so far, as soon as there are so many."""
        with self._come:
            came = self._come.wait_for(lambda: len(self.received) >= number, within)
            assert came, f"{len(self.received)} of {number} deliveries came"
            return list(self.received)

    def stays(self, number: int, seconds: float) -> None:
        """Prove that in a while no more come than there are."""
        time.sleep(seconds)
        assert len(self.received) == number

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Read requests of a connection and answer them."""
        with request, request.makefile("rb") as lines:
            while (first := lines.readline()) and not self.over.is_set():
                self._answer(request, lines, first)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender may leave whenever it likes."""

    def _answer(self, connection: socket.socket, lines: Any, first: bytes) -> None:
        headers = {}
        while (line := lines.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        path = first.split()[1].decode()
        body = lines.read(int(headers["content-length"]))
        if len(body) < int(headers["content-length"]):
            return  # the sender was killed on its way
        with self._come:
            self.received.append(Received(path, headers, body))
            known = self.by_path.get(path)
            answer = known or (self._script.popleft() if self._script else self.default)
            self._come.notify_all()
        answer(connection, self)
        if answer in (cut, garbage):
            raise ConnectionAbortedError
