"""What a stop does to requests and connections."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.serving.harness import Crowd, Toy, eventually

Start = Callable[..., Toy]


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load(start: Start, workers: int) -> None:
    """SIGTERM under load from 16 keep-alive connections loses no request and exits 0."""
    toy = start(workers=workers)
    with Crowd(toy) as crowd:
        crowd.warm_up()
        assert toy.terminate() == 0
    assert not crowd.lost
    assert toy.closed() == crowd.answered
    assert len(toy.notes("close")) == len(toy.notes("drain")) == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_with_a_connection_per_request(start: Start, workers: int) -> None:
    """A connection that was made is served: closing the listener resets nobody in its backlog."""
    toy = start(workers=workers)
    with Crowd(toy, keep_alive=False) as crowd:
        crowd.warm_up()
        assert toy.terminate() == 0
        crowd.join()
    assert not crowd.lost
    assert crowd.refused == 16
    assert toy.closed() == crowd.answered


def test_request_in_flight(start: Start) -> None:
    """A request that takes 3 s is answered though SIGTERM comes in the middle of it."""
    toy = start()
    found: list[Any] = []
    client = threading.Thread(target=lambda: found.append(toy.get("/slow?3")))
    client.start()
    time.sleep(0.5)
    assert toy.terminate() == 0
    client.join()
    assert found[0]["plane"] == "internal"


def test_last_answer_says_close(start: Start) -> None:
    """While draining an open connection is still served, and the answer says it's the last."""
    toy = start()
    connection = toy.connect()
    connection.request("GET", "/")
    assert connection.getresponse().read()
    with socket.create_connection(("127.0.0.1", connection.port)) as busy:
        busy.sendall(b"GET /slow?1 HTTP/1.1\r\nHost: toy\r\n\r\n")
        time.sleep(0.3)
        toy.signal(signal.SIGTERM)
        eventually(lambda: toy.notes("drain"))
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.headers["Connection"] == "close"
        assert response.read()
        assert busy.recv(4096).startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
    assert toy.ended() == 0
    connection.close()


def test_http_1_0_keep_alive(start: Start) -> None:
    """An HTTP/1.0 client that asked for keep-alive isn't promised it while draining."""
    toy = start()
    host, _, port = toy.addresses["internal"].rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /slow?1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        time.sleep(0.3)
        toy.signal(signal.SIGTERM)
        answer = client.makefile("rb").read()
    assert b"\r\nConnection: close\r\n" in answer
    assert b"Keep-Alive" not in answer
    assert toy.ended() == 0


def test_pipelined_requests(start: Start) -> None:
    """Requests that were sent at once are all answered, and only the last answer says close."""
    toy = start()
    host, _, port = toy.addresses["internal"].rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /slow?0.6 HTTP/1.1\r\nHost: toy\r\n\r\n" * 3)
        time.sleep(0.3)
        toy.signal(signal.SIGTERM)
        answers = client.makefile("rb").read().split(b"HTTP/1.1 200 OK")[1:]
    assert [b"Connection: close" in answer for answer in answers] == [False, False, True]
    assert toy.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connection(start: Start, workers: int) -> None:
    """An idle keep-alive connection doesn't hold the process: it's gone in less than 4 s."""
    toy = start(workers=workers)
    connection = toy.connect()
    connection.request("GET", "/")
    connection.getresponse().read()
    begun = time.monotonic()
    assert toy.terminate() == 0
    assert time.monotonic() - begun < 4
    connection.close()


def test_slow_reader(start: Start) -> None:
    """An answer that a client is still reading is drained to its last byte."""
    toy = start()
    connection = toy.connect()
    connection.request("GET", f"/large?{20 * 1024 * 1024}")
    time.sleep(0.5)
    toy.signal(signal.SIGTERM)
    time.sleep(2)  # longer than an idle connection lives
    assert len(json.load(connection.getresponse())["filling"]) == 20 * 1024 * 1024
    assert toy.ended() == 0
    assert "cut" not in toy.errors
    connection.close()


def test_endless_request(start: Start) -> None:
    """A request whose body never ends is cut at the limit, and the exit code is still 0."""
    toy = start(drain_seconds=3)
    connection = toy.connect()
    connection.putrequest("POST", "/body")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"not a thousand bytes")
    time.sleep(0.3)
    begun = time.monotonic()
    assert toy.terminate() == 0
    assert 2.5 < time.monotonic() - begun < 15
    assert len(toy.notes("close")) == 1
    assert "cut" in toy.errors
    connection.close()


def test_endless_answer(start: Start) -> None:
    """A thread that is stuck in the app doesn't hold the process beyond the limit."""
    toy = start(drain_seconds=1)
    connection = toy.connect()
    connection.request("GET", "/slow?300")
    time.sleep(0.5)
    begun = time.monotonic()
    assert toy.terminate() == 0
    assert time.monotonic() - begun < 20
    assert len(toy.notes("close")) == 1
    connection.close()


def test_drain_callback_fails(start: Start) -> None:
    """An on_drain that raises doesn't spoil the drain."""
    toy = start(bad_drain=True)
    with Crowd(toy, 4) as crowd:
        crowd.warm_up(50)
        assert toy.terminate() == 0
    assert not crowd.lost
    assert "no plug" in toy.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals(start: Start, number: signal.Signals) -> None:
    """Ctrl-C and a hang-up drain a single process as SIGTERM does."""
    toy = start()
    toy.signal(number)
    assert toy.ended() == 0
    assert len(toy.notes("close")) == 1


def test_repeated_signal(start: Start) -> None:
    """systemd signals the whole group, and the parent does too: the second one changes nothing."""
    toy = start()
    connection = toy.connect()
    connection.request("GET", "/slow?1")
    time.sleep(0.3)
    toy.signal(signal.SIGTERM)
    eventually(lambda: toy.notes("drain"))
    toy.signal(signal.SIGTERM)
    assert connection.getresponse().status == 200
    assert toy.ended() == 0
    connection.close()
