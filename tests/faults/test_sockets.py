"""Clients that hold connections: idle, slow to ask, or slow to read."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.harness import Remote, inode_of_peer
from tests.faults.conftest import Start
from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.realtime.harness import Client
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

PLANES = ("internal", "public", "realtime")
MUCH = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60
IDLE = 1500
CUT = 20.0  # s in which clients that hold connections for nothing are cut, at the latest
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


def test_idle_and_slow(live_service: Start) -> None:
    """Beside 1500 idle sockets on each plane, 200 idle clients of the gateway, 50 clients that send
    a byte of their request now and then, and 20 that read nothing of many MB, a few threads answer
    everybody else; those that read nothing are cut after a while.
    """
    env = {
        "MAIMCONFIG_THREADS": "2",
        "MAIMCONFIG_CHAT_REPLIES": "1",
        "MAIMCONFIG_REALTIME_CONNECTIONS_PER_ADDRESS": "3000",
    }
    service = live_service(planes=PLANES, env=env)
    world = World.make(service)
    before = memory_of(service), files_of(service)
    with contextlib.ExitStack() as slow:
        with contextlib.ExitStack() as idle:
            for plane in PLANES:
                idle.enter_context(sockets(service.urls[plane], IDLE))
            for url in (service.internal, service.public):
                # Whoever comes after them is answered when all of them have been let in.
                assert httpx.get(f"{url}/health/live", timeout=PATIENCE).status_code == 200
            after = memory_of(service), files_of(service)
            unread = slow.enter_context(sockets(service.internal, 20, MUCH))
            began = time.monotonic()
            asking = slow.enter_context(sockets(service.internal, 50, b"P"))
            with Load(service, world) as load:
                for letter in b"OST /":
                    for one in asking:
                        one.sendall(bytes([letter]))
                    load.all_answer()
                load.settle(10)
                assert all(inode_of_peer(one) for one in unread)
        greeted = wait_of_another_client(service)
        # Each is let go when its client goes.
        eventually(lambda: files_of(service) < before[1] + IDLE)
        waited = wait_of_a_late_caller(service)
        eventually(lambda: not any(inode_of_peer(one) for one in unread))
        cut = time.monotonic() - began
    load.report(f"{IDLE} idle sockets a plane, 50 slow to ask, 20 that read nothing")
    publish(
        "what they cost",
        [
            f"MB, files without the idle ones {before}, with them {after}",
            f"with 2100 on a plane of 2000 a new caller waited {waited:.1f} s",
            f"those that read nothing were cut within {cut:.1f} s",
        ],
    )
    assert load.statuses() == {200}
    assert load.longest() < WITHIN
    assert after[1] - before[1] > 2 * IDLE
    assert after[0] - before[0] < 150
    assert greeted < WITHIN
    assert waited < CUT + WITHIN


def wait_of_a_late_caller(service: LiveService) -> float:
    """Seconds in which a new caller is answered by a plane all of whose connections are idle: it
    closes those that did nothing for some seconds.
    """
    with sockets(service.internal, 2100):
        began = time.monotonic()
        with Remote(service.internal) as late:
            late.tenant()
        return time.monotonic() - began


def wait_of_another_client(service: LiveService) -> float:
    """Seconds in which the gateway greets a client beside 200 that are idle."""
    with contextlib.ExitStack() as ends:
        for _ in range(200):
            ends.enter_context(Client(service.urls["realtime"]))
        began = time.monotonic()
        ends.enter_context(Client(service.urls["realtime"]))
        return time.monotonic() - began
