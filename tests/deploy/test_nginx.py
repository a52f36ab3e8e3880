"""The service as the world sees it: through a real nginx with the configuration of deploy/."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.harness import Remote, workers_of
from tests.deploy.conftest import Site
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, Exchange
from tests.servers.nginx import PUBLIC, REALTIME, Nginx
from tests.serving.harness import PATIENCE, eventually

CHAT = "/api/v2/chat"
UNKNOWN_KEY = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
PASSWORD = "correct horse battery"
# How often to renew all workers, under how many requests a second: `10x200` for the whole.
ROLLING = os.environ.get("MAIMCONFIG_TEST_ROLLING", "2x20")


def key_of(site: Site, **given: Any) -> str:
    """An API key with the permission to chat."""
    with Remote(site.service.internal) as caller:
        return caller.key(permissions=["chat"], **given)["api_key"]


def test_configuration(site: Site) -> None:
    """nginx finds nothing wrong with the file, not even something to warn of."""
    assert "[warn]" not in site.nginx.check()
    assert "[emerg]" not in site.nginx.check()


def test_a_users_way(site: Site) -> None:
    """Register, log in, own an agent and a key, chat with it, refresh, log out: all by TLS."""
    with site.caller() as caller:

        def call(method: str, path: str, body: Any = None, token: str | None = None) -> Any:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = caller.request(method, path, json=body, headers=headers)
            assert answer.status_code in (200, 204), answer.text
            assert answer.headers["Strict-Transport-Security"]
            assert "Server" not in answer.headers or "/" not in answer.headers["Server"]
            return answer.json() if answer.content else None

        user = {"username": "throughnginx", "password": PASSWORD, "email": "n@example.com"}
        call("POST", "/api/v1/auth/register", user)
        login = call("POST", "/api/v1/auth/login", {k: user[k] for k in ("username", "password")})
        token = login["access_token"]
        agent = call("POST", "/api/v1/agents/", {"name": "agent"}, token)
        body = {"name": "key", "permissions": ["chat"]}
        key = call("POST", f"/api/v1/agents/{agent['id']}/api_keys", body, token)["api_key"]
        site.provider.default = faulty.answer("Hi from the model")
        told = call("POST", CHAT, {"api_key": key, "message": "你好"})
        assert told["data"]["response"] == "Hi from the model"
        completion = {"model": agent["id"], "messages": [{"role": "user", "content": "Hi"}]}
        assert call("POST", "/v1/chat/completions", completion, key)["choices"]
        token = call("POST", "/api/v1/auth/refresh", {"refresh_token": login["refresh_token"]})
        call("POST", "/api/v1/auth/logout", None, token["access_token"])


def test_only_the_public_plane(site: Site) -> None:
    """The control plane and the metrics can't be reached, however the path is written."""
    for path in (
        "/api/v2/tenants",
        "/metrics",
        "//metrics",
        "/ws/../metrics",
        "/health/../metrics",
    ):
        connection = site.connection()
        connection.request("GET", path)
        assert connection.getresponse().status == 404, path
        connection.close()
    answer = httpx.get(f"{site.nginx.plain_url}/health?a=1", timeout=PATIENCE)
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/health?a=1"


def gated(gates: list[threading.Event]) -> Behaviour:
    """A stream whose next piece comes when its gate is opened."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        for number, gate in enumerate(gates):
            while not gate.is_set():
                await asyncio.sleep(0.01)
            await exchange.delta(f"piece{number} ")
        await exchange.delta("", "stop")
        await exchange.end_stream()

    return behave


@pytest.mark.parametrize("path", [CHAT, "/v1/chat/completions"])
def test_delta_by_delta(site: Site, path: str) -> None:
    """Each piece of a reply has arrived before the provider says the next."""
    gates = [threading.Event() for _ in range(4)]
    site.provider.script(gated(gates))
    key = key_of(site)
    body: dict[str, Any] = {"api_key": key, "message": "x", "stream": True}
    if path != CHAT:
        with site.caller() as caller:
            headers = {"Authorization": f"Bearer {key}"}
            model = caller.get("/v1/models", headers=headers).json()["data"][0]["id"]
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip"}
    if path == CHAT:
        del headers["Authorization"]
    with site.caller() as caller, caller.stream("POST", path, json=body, headers=headers) as told:
        assert told.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Encoding" not in told.headers
        text, pieces = "", told.iter_text()
        for number, gate in enumerate(gates):
            gate.set()
            while f"piece{number}" not in text:
                text += next(pieces)
            assert f"piece{number + 1}" not in text
        for rest in pieces:
            text += rest
    assert ("message.end" if path == CHAT else "[DONE]") in text


def test_callers_address(site: Site) -> None:
    """What a client says of its own address is overwritten: allowed_ips sees the true one."""
    here, elsewhere = (
        key_of(site, allowed_ips=["127.0.0.1"]),
        key_of(site, allowed_ips=["10.9.9.9"]),
    )
    site.provider.default = faulty.answer("Hi")
    claims = {
        "X-Forwarded-For": "10.9.9.9",
        "X-Real-IP": "10.9.9.9",
        "Forwarded": "for=10.9.9.9",
        "X-Forwarded-Host": "evil.example.com",
    }
    with site.caller() as caller:
        for claimed in ({}, claims):
            good = caller.post(CHAT, json={"api_key": here, "message": "x"}, headers=claimed)
            bad = caller.post(CHAT, json={"api_key": elsewhere, "message": "x"}, headers=claimed)
            assert (good.status_code, bad.status_code) == (200, 403), (good.text, bad.text)


def raw(site: Site, request: bytes) -> bytes:
    """What comes back for these bytes, until the end of the connection."""
    parts = urlsplit(site.nginx.url)
    address = (parts.hostname, parts.port)
    with (
        socket.create_connection(address, timeout=PATIENCE) as plain,
        site.tls().wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(request)
        found = b""
        while part := client.recv(65536):
            found += part
        return found


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
    ],
)
def test_smuggling(site: Site, lengths: bytes) -> None:
    """A request that says its length twice is refused, and nothing hidden in it is answered."""
    hidden = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /api/v2/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + lengths
    answer = raw(site, head + b"\r\n0\r\n\r\n" + hidden)
    status = answer.split(b" ", 2)[1]
    assert status in (b"400", b"501"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"healthy" not in answer


def test_limits(site: Site) -> None:
    """Too large a body is refused as JSON by the service, a larger one by nginx in the same shape,
    too long a header too; and each error can be looked up."""
    with site.caller() as caller:
        for size in (1_100_000, 3_000_000):
            answer = caller.post(CHAT, json={"message": "x" * size})
            assert answer.status_code == 413
            assert answer.json()["error_code"] == "PAYLOAD_TOO_LARGE"
            assert answer.json()["request_id"].startswith("req_")
        answer = caller.get("/health", headers={"X-Long": "x" * 30_000})
        assert answer.status_code in (400, 431, 494)


def test_no_query_in_the_log(site: Site) -> None:
    """A token in a query is not in nginx's log."""
    with site.caller() as caller:
        caller.get("/health?token=mmc_secret-in-a-query")
    eventually(lambda: '"path":"/health"' in site.nginx.access_log)
    assert "secret-in-a-query" not in site.nginx.access_log


class Load:
    """Callers that ask at a steady pace, over connections that they keep.

    Attributes:
        answers: by method and status.
        lost: what became of requests without the right answer.
    """

    CLIENTS = 10

    def __init__(self, site: Site, rate: int) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.lost: list[str] = []
        self._site = site
        self._pause = 2 * self.CLIENTS / rate  # two requests a turn
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(self.CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        """How many were answered rightly."""
        return sum(self.answers.values())

    def _client(self) -> None:
        connection = self._site.connection()
        due = time.monotonic()
        while not self._over.is_set():
            try:
                self._ask(connection)
            except Exception as error:
                self.lost.append(repr(error))
                connection.close()
            due = max(due + self._pause, time.monotonic())
            self._over.wait(due - time.monotonic())
        connection.close()

    def _ask(self, connection: Any) -> None:
        # The second is a key check, and nginx never sends it again by itself.
        for method, path, body, wanted in (
            ("GET", "/health/live", None, 200),
            ("POST", CHAT, json.dumps({"api_key": UNKNOWN_KEY, "message": "x"}), 401),
        ):
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != wanted:
                self.lost.append(f"{method} {answer.status} {text[:200]!r}")
                continue
            with self._lock:
                self.answers[method, answer.status] += 1


def test_rolling_restarts(site: Site) -> None:
    """While all workers are renewed again and again, not one request under load is lost."""
    times, rate = map(int, ROLLING.split("x"))
    with Load(site, rate) as load:
        for _ in range(times):
            before, answered = workers_of(site.service), load.total
            site.service.process.send_signal(signal.SIGHUP)
            eventually(
                lambda old=before: len(now := workers_of(site.service)) == 2 and not now & old, 240
            )
            eventually(lambda more=answered: load.total > more + rate, 120)
    assert load.lost == []
    assert set(load.answers) == {("GET", 200), ("POST", 401)}


def test_service_away(site: Site) -> None:
    """While the service is away callers get 503 in its own shape, and when to come again."""
    lonely = Nginx({"127.0.0.1:8880": "127.0.0.1:9"})  # where nobody listens
    try:
        context = Site(lonely, site.service, site.provider).tls()
        answer = httpx.get(f"{lonely.url}/health", verify=context, timeout=PATIENCE)
    finally:
        lonely.close()
    assert (answer.status_code, answer.json()["error_code"]) == (503, "SYS_002")
    assert int(answer.headers["Retry-After"]) > 0


class Impatient(Nginx):
    """nginx that waits a second where it waits a minute."""

    def _places(self) -> dict[str, str]:
        return {**super()._places(), "proxy_read_timeout 60s;": "proxy_read_timeout 1s;"}


class Slow(BaseHTTPRequestHandler):
    """Answers when nginx has waited for more than a second."""

    def do_POST(self) -> None:
        """Answer any path."""
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(2.5)
        self.send_response(200)
        self.end_headers()


def test_replies_may_take_long(site: Site) -> None:
    """Where the AI's reply is waited for, and only there, nginx waits for as long as an agent may
    be given."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever).start()
        nginx = Impatient({PUBLIC: f"127.0.0.1:{slow.server_port}"})
        try:
            with Site(nginx, site.service, site.provider).caller() as caller:
                for path in (CHAT, "/api/v1/chat/send", "/v1/chat/completions"):
                    assert caller.post(path, json={}).status_code == 200, path
                assert caller.post("/api/v1/chat/messages", json={}).status_code == 503
        finally:
            nginx.close()
            slow.shutdown()


class EchoGateway:
    """Takes one connection up to a WebSocket and echoes its bytes.

    Attributes:
        head: of the request, as it came.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.head = ""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Wait for its end."""
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        self._listener.settimeout(PATIENCE)
        peer, _ = self._listener.accept()
        with peer:
            while "\r\n\r\n" not in self.head:
                self.head += peer.recv(4096).decode()
            peer.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\n\r\n"
            )
            while data := peer.recv(4096):
                peer.sendall(data)


def test_upgrade(site: Site) -> None:
    """/ws is taken up to a WebSocket, both ways at once, with the caller's true address."""
    gateway = EchoGateway()
    nginx = Nginx({REALTIME: gateway.address})
    there = Site(nginx, site.service, site.provider)
    parts = urlsplit(nginx.url)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as plain,
            there.tls().wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(
                b"GET /ws/chat/sess_1?token=x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nX-Forwarded-For: 10.9.9.9\r\nOrigin: https://a.example\r\n"
                b"\r\n"
            )
            assert b" 101 " in client.recv(4096)
            for word in (b"one", b"two"):
                client.sendall(word)
                assert client.recv(4096) == word
    finally:
        nginx.close()
        gateway.close()
    head = gateway.head.lower()
    assert head.startswith("get /ws/chat/sess_1?token=x ")
    for line in ("upgrade: websocket", "connection: upgrade", "x-forwarded-for: 127.0.0.1",
                 "origin: https://a.example"):  # fmt: skip
        assert f"\r\n{line}\r\n" in head
    assert "10.9.9.9" not in head


if importlib.util.find_spec("maimconfig.realtime"):

    def test_websocket(site: Site, live_service: Any) -> None:
        """A client speaks with the gateway itself through nginx."""
        from websockets.sync.client import connect

        service = live_service(None, planes=("internal", "public", "realtime"))
        nginx = Nginx({REALTIME: urlsplit(service.urls["realtime"]).netloc})
        there = Site(nginx, service, site.provider)
        try:
            url = f"{nginx.url.replace('https', 'wss')}/ws"
            tls = there.tls()
            # This client reads and writes in two threads, of which TLS 1.3's tickets are too many.
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            with connect(url, ssl=tls, open_timeout=PATIENCE) as client:
                assert json.loads(client.recv(PATIENCE))["type"] == "connection"
                client.send(json.dumps({"type": "ping", "data": {}}))
                assert json.loads(client.recv(PATIENCE))["type"] == "pong"
        finally:
            nginx.close()
