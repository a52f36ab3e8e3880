"""What a serving process answers, and what it withstands."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maimconfig.serving import Bind
from tests.serving.harness import Crowd, Toy, eventually, lives

Start = Callable[..., Toy]
MIB = 1024 * 1024


def test_both_planes_answer(start: Start) -> None:
    """One process serves each plane at the address that was announced."""
    toy = start()
    assert set(toy.addresses) == {"internal", "public"}
    for plane in toy.addresses:
        assert toy.get(plane=plane) == {"plane": plane, "pid": toy.process.pid}
    assert toy.terminate() == 0


def test_an_answer_without_a_body(start: Start) -> None:
    """Whoever polls keeps the connection over a 304, unless it wants to end it."""
    connection = start().connect()
    connection.request("GET", "/unchanged")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"], answer.read()) == (304, None, b"")
    same = connection.sock
    connection.request("GET", "/")
    assert connection.getresponse().read()
    assert connection.sock is same
    connection.request("GET", "/unchanged", headers={"Connection": "close"})
    assert connection.getresponse().headers["Connection"] == "close"
    connection.close()


def test_three_planes_and_ipv6(start: Start) -> None:
    """Any number of planes is served, over IPv6 too."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    toy = start(binds={"a": "[::1]:0", "b": "127.0.0.1:0", "c": "localhost:0"})
    assert toy.addresses["a"].startswith("[::1]:")
    assert {toy.get(plane=plane)["plane"] for plane in "abc"} == {"a", "b", "c"}


def test_plane_without_address(start: Start) -> None:
    """An app without an address isn't served."""
    toy = start(binds={"public": "127.0.0.1:0"}, apps=["internal", "public"])
    assert set(toy.addresses) == {"public"}
    assert toy.get(plane="public")["plane"] == "public"


def test_headers_and_environ(start: Start) -> None:
    """No Server header tells who we are, and the environ holds text where WSGI wants text."""
    connection = start().connect()
    connection.request("GET", "/environ")
    response = connection.getresponse()
    environ = json.load(response)["environ"]
    connection.close()
    assert "Server" not in response.headers
    assert environ["SERVER_SOFTWARE"] == "waitress"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


def test_planes_do_not_starve_each_other(start: Start) -> None:
    """With every thread of the public plane taken, and more waiting, the internal one answers."""
    toy = start(threads=2)
    slow = [toy.connect("public") for _ in range(6)]
    for connection in slow:
        connection.request("GET", "/slow?20")
    asked = threading.Thread(target=toy.get)
    asked.start()
    asked.join(10)
    assert not asked.is_alive()
    assert "Task queue depth" not in toy_errors(toy)
    for connection in slow:
        connection.close()


def test_threads_start_when_they_are_needed(start: Start) -> None:
    """An idle process has no threads for requests; more requests at once get more, up to the
    most, and those share a single one that come when it is free again.
    """
    toy = start(threads=3)
    idle = threads_of(toy)
    for _ in range(5):
        toy.get(plane="public")
        # The client has its answer a moment before the thread is free.
        eventually(lambda: loads_of(toy)["public"]["busy"] == 0)
    assert loads_of(toy)["public"]["threads"] == 1
    slow = [toy.connect("public") for _ in range(5)]
    for connection in slow:
        connection.request("GET", "/slow?2")
    eventually(lambda: loads_of(toy)["public"]["threads"] == 3)
    assert [connection.getresponse().status for connection in slow] == [200] * 5
    loads = loads_of(toy)
    assert loads["public"]["threads"] == 3
    assert threads_of(toy) == idle + sum(load["threads"] for load in loads.values())
    for connection in slow:
        connection.close()
    assert toy.terminate() == 0


def loads_of(toy: Toy) -> dict[str, dict[str, int]]:
    """How busy each of its planes is, as the internal one tells."""
    loads: dict[str, dict[str, int]] = toy.get("/load")["load"]
    return loads


def threads_of(toy: Toy) -> int:
    """How many threads it has."""
    return len(list(Path(f"/proc/{toy.process.pid}/task").iterdir()))


def toy_errors(toy: Toy) -> str:
    """End it at once and return what it wrote to stderr."""
    toy.process.kill()
    toy.ended()
    return toy.errors


def test_long_body_reaches_the_app(start: Start) -> None:
    """A body of 2 MiB with a Content-Length is the app's to refuse; the connection stays sane."""
    connection = start().connect()
    connection.request("POST", "/body", body=b"x" * 2 * MIB)
    response = connection.getresponse()
    assert response.status == 413
    assert json.load(response)["length"] == 2 * MIB
    before = connection.sock
    connection.request("GET", "/")
    assert json.load(connection.getresponse())["plane"] == "internal"
    assert connection.sock is before
    connection.close()


def test_long_chunked_body_reaches_the_app(start: Start) -> None:
    """A body of 2 MiB in chunks is the app's to refuse too, with its real length."""
    connection = start().connect()
    chunks: Iterator[bytes] = iter([b"x" * MIB] * 2)
    connection.request("POST", "/body", body=chunks, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413
    assert json.load(response)["length"] == 2 * MIB
    connection.request("GET", "/")
    assert json.load(connection.getresponse())["plane"] == "internal"
    connection.close()


@pytest.mark.parametrize(("length", "status"), [(8 * MIB, 413), (8 * MIB + 1, 413)])
def test_largest_body(start: Start, length: int, status: int) -> None:
    """8 MiB still reach the app; one byte more is refused by waitress before it's read."""
    connection = start().connect()
    connection.putrequest("POST", "/body")
    connection.putheader("Content-Length", str(length))
    connection.endheaders(b"x" * length if length == 8 * MIB else None)
    response = connection.getresponse()
    assert response.status == status
    by_app = response.headers["Content-Type"] == "application/json"
    assert by_app == (length == 8 * MIB)
    connection.close()


def test_long_headers(start: Start) -> None:
    """Headers over 64 KiB are refused with 431."""
    connection = start().connect()
    connection.request("GET", "/", headers={f"X-{n}": "x" * 1000 for n in range(70)})
    assert connection.getresponse().status == 431
    connection.close()


@contextlib.contextmanager
def many_files(wanted: int) -> Iterator[None]:
    """Let this process open that many files."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_idle_sockets(start: Start) -> None:
    """1200 open connections don't kill the process, though it was started with 256 files."""
    toy = start(files=(256, None))
    bind = Bind.parse(toy.addresses["public"])
    with many_files(2000), contextlib.ExitStack() as stack:
        for _ in range(1200):
            stack.enter_context(socket.create_connection((bind.host, bind.port), timeout=60))
        assert toy.get(plane="public")["plane"] == "public"
        assert toy.get(plane="internal")["plane"] == "internal"
        files = f"/proc/{toy.process.pid}/fd"
        eventually(lambda: len(os.listdir(files)) > 1200)  # noqa: PTH208, iterdir has no len()
        with Crowd(toy, 8) as crowd:
            crowd.warm_up()
        assert not crowd.lost
    assert toy.terminate() == 0


def test_connection_limit_is_per_plane(start: Start) -> None:
    """A plane at its limit lets connections wait; the other plane doesn't notice."""
    toy = start(files=(400, 400))  # (400 - 256) / 2 planes = 72 connections each
    bind = Bind.parse(toy.addresses["public"])
    with contextlib.ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection((bind.host, bind.port), timeout=60))
            for _ in range(100)
        ]
        assert toy.get(plane="internal")["plane"] == "internal"
        waiting = toy.connect("public")
        waiting.timeout = 1
        waiting.request("GET", "/")
        with pytest.raises(TimeoutError):
            waiting.getresponse()
        for sock in crowd:
            sock.close()
        assert toy.get(plane="public")["plane"] == "public"
        waiting.close()
    assert toy.terminate() == 0
    assert "plane public has 72 connections open" in toy.errors


def test_silent_client_that_left(start: Start) -> None:
    """An app that waits for something else can tell that its client is gone."""
    toy = start()
    connection = toy.connect()
    connection.request("GET", "/until-left")
    time.sleep(0.5)
    assert not toy.notes("left")
    connection.close()
    eventually(lambda: toy.notes("left"))


def test_slow_reader(start: Start) -> None:
    """An answer larger than every buffer arrives whole at a client that reads slowly."""
    connection = start().connect()
    for _ in range(3):
        connection.request("GET", f"/large?{20 * MIB}")
        response = connection.getresponse()
        time.sleep(0.3)
        assert len(json.load(response)["filling"]) == 20 * MIB
    connection.close()


def test_client_that_left(start: Start) -> None:
    """Clients that vanish in the middle of their requests leave the process well."""
    toy = start()
    for _ in range(20):
        connection = toy.connect()
        connection.request("GET", "/slow?0.2")
        connection.close()
    half = toy.connect()
    half.putrequest("POST", "/body")
    half.putheader("Content-Length", "100")
    half.endheaders(b"half")
    half.close()
    assert toy.get()["plane"] == "internal"
    assert lives(toy.process.pid)
    assert toy.terminate() == 0


def test_garbage(start: Start) -> None:
    """What isn't HTTP gets 400, and the next client an answer."""
    toy = start()
    bind = Bind.parse(toy.addresses["internal"])
    with socket.create_connection((bind.host, bind.port)) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
        assert client.makefile("rb").readline() == b"HTTP/1.0 400 Bad Request\r\n"
    assert toy.get()["plane"] == "internal"
