"""Clients that hold connections: idle, slow to ask, or slow to read."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.contract.harness import Remote
from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.realtime.harness import Client
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

Start = Callable[..., LiveService]

IDLE = 1500
WITHIN = 5.0  # s in which a new caller is answered; the machine may be busy with other tests


@pytest.fixture(autouse=True)
def many_files() -> None:
    """Let this process have a few thousand sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(hard, 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@contextlib.contextmanager
def sockets(url: str, count: int, sends: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections to a plane, on which something was sent."""
    parts = urlsplit(url)
    with contextlib.ExitStack() as ends:
        found = []
        for _ in range(count):
            one = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
            found.append(ends.enter_context(one))
            one.sendall(sends)
        yield found


def memory_of(service: LiveService) -> int:
    """What the process holds, in MB."""
    text = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def files_of(service: LiveService) -> int:
    """How many files the process has open."""
    return sum(1 for _ in Path(f"/proc/{service.process.pid}/fd").iterdir())


def test_idle(live_service: Start) -> None:
    """With 1500 idle sockets on each plane the service goes on answering new callers."""
    service = live_service(planes=("internal", "public", "realtime"))
    world = World.make(service)
    before = memory_of(service), files_of(service)
    with contextlib.ExitStack() as ends:
        for plane in ("internal", "public", "realtime"):
            ends.enter_context(sockets(service.urls[plane], IDLE))
        eventually(lambda: files_of(service) >= before[1] + 2 * IDLE)
        with Load(service, world) as load:
            load.settle(10)
        after = memory_of(service), files_of(service)
    load.report(f"{IDLE} idle sockets a plane")
    publish("what they cost", [f"MB, files before {before}, with them {after}"])
    assert load.statuses() == {200}
    assert load.longest() < WITHIN
    # A connection that has said nothing is some KB, and is let go when its client goes.
    assert after[0] - before[0] < 150
    eventually(lambda: files_of(service) < before[1] + IDLE)


def test_idle_clients_of_the_gateway(live_service: Start) -> None:
    """Idle clients of the gateway hold nobody up: another is answered at once."""
    many = {"MAIMCONFIG_REALTIME_CONNECTIONS_PER_ADDRESS": "3000"}
    service = live_service(planes=("internal", "public", "realtime"), env=many)
    with contextlib.ExitStack() as ends:
        for _ in range(200):
            ends.enter_context(Client(service.urls["realtime"]))
        began = time.monotonic()
        ends.enter_context(Client(service.urls["realtime"]))
        assert time.monotonic() - began < WITHIN


def test_all_connections_taken(live_service: Start) -> None:
    """A plane whose connections are all idle closes those that did nothing for some seconds, so
    that new callers are answered; those that were connected later wait no longer than that.
    """
    service = live_service()
    with Remote(service.internal) as caller:
        caller.tenant()
        with sockets(service.internal, 2100):
            began = time.monotonic()
            with Remote(service.internal) as late:
                late.tenant()
            waited = time.monotonic() - began
    publish("2100 idle sockets on a plane of 2000", [f"a new caller waited {waited:.1f} s"])
    assert waited < 20


FEW = {"MAIMCONFIG_THREADS": "2", "MAIMCONFIG_CHAT_REPLIES": "1"}


def test_slow_to_ask(live_service: Start) -> None:
    """Clients that send a byte a second of their request hold no thread: others are unharmed."""
    service = live_service(env=FEW)
    world = World.make(service)
    with sockets(service.internal, 50, b"P") as slow, Load(service, world) as load:
        for letter in b"OST /":
            time.sleep(0.5)
            for one in slow:
                one.sendall(bytes([letter]))
        load.settle(10)
    load.report("50 clients send a byte now and then")
    assert load.statuses() == {200}
    assert load.longest() < WITHIN


def test_slow_to_read(live_service: Start) -> None:
    """Clients that ask for much and read nothing hold no thread, and are cut after a while."""
    service = live_service(env=FEW)
    world = World.make(service)
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60
    before = files_of(service)
    with sockets(service.internal, 20, ask):
        with Load(service, world) as load:
            load.settle(10)
        load.report("20 clients read nothing of many MB, beside 3 threads")
        assert load.statuses() == {200}
        assert load.longest() < WITHIN
        eventually(lambda: files_of(service) < before + 10)
