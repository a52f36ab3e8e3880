"""Measure the realtime gateway: load, idle connections, and clients that are cut off at random.

    python -m benchmarks.realtime load --connections 1000 --seconds 60
    python -m benchmarks.realtime idle --connections 5000
    python -m benchmarks.realtime churn --connections 200 --cuts 20 --rounds 4
    python -m benchmarks.realtime stalled

Each takes `--url DATABASE_URL`; a fresh SQLite file without it. The gateway is a process of its
own on the first CPU, the clients are here on the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from maimconfig.serving.sockets import raise_file_limit
from tests.realtime.churn import churn, faults
from tests.realtime.fleet import Fleet, fleet
from tests.realtime.harness import token_of
from tests.servers.redis import Redis

AT_ONCE = 50  # handshakes under way
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Process:
    """The gateway's process, as /proc has it."""

    pid: int

    def rss_kb(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if "VmRSS" in line))

    def cpu_seconds(self) -> float:
        """CPU time that it has used, its own and the kernel's for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass
class Talker:
    """A client that sends a message a second, and listens."""

    url: str
    token: str
    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    answered: int = 0
    errors: list[str] = field(default_factory=list)

    async def open(self) -> ClientConnection:
        """Connect and join."""
        headers = {"Authorization": f"Bearer {self.token}"}
        socket = await connect(
            self.url, additional_headers=headers, compression=None, ping_interval=None,
            open_timeout=60, max_queue=None,
        ).__aenter__()  # fmt: skip
        while json.loads(await socket.recv())["type"] != "session_joined":
            pass
        return socket

    async def listen(self, socket: ClientConnection) -> None:
        """Note what comes."""
        async for raw in socket:
            frame = json.loads(raw)
            if frame["type"] == "message":
                self.latencies.append(time.monotonic() - float(frame["data"]["content"]))
            elif frame["type"] == "message_sent":
                self.answered += 1
            elif frame["type"] == "error":
                self.errors.append(frame["data"]["code"])

    async def talk(self, socket: ClientConnection, start: float, seconds: int) -> None:
        """Send a message a second."""
        for number in range(seconds):
            await asyncio.sleep(start + number - time.monotonic())
            data = {"content": f"{time.monotonic():.6f}", "client_id": str(number)}
            self.sent += 1
            await socket.send(json.dumps({"type": "message", "data": data}))


def main() -> None:
    """Measure what was asked for."""
    options = _options()
    raise_file_limit()
    with tempfile.TemporaryDirectory() as folder:
        _MODES[options.mode](options, Path(folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=sorted(_MODES))
    parser.add_argument("--url", help="an empty database; a fresh SQLite file if absent")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--cuts", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2, help="of harm, in churn")
    return parser.parse_args()


def _load(options: argparse.Namespace, folder: Path) -> None:
    with _gateway(options, folder) as (ours, process):
        talkers = _talkers(ours, options.connections)
        asyncio.run(_measure_load(talkers, process, options.seconds))


async def _measure_load(talkers: list[Talker], process: Process, seconds: int) -> None:
    before = process.rss_kb()
    sockets = await _open_all(talkers)
    listening = [
        asyncio.create_task(talker.listen(socket))
        for talker, socket in zip(talkers, sockets, strict=True)
    ]
    cpu, begun = process.cpu_seconds(), time.monotonic()
    await asyncio.gather(
        *(
            talker.talk(socket, begun + 1 + number / len(talkers), seconds)
            for number, (talker, socket) in enumerate(zip(talkers, sockets, strict=True))
        )
    )
    sent = sum(talker.sent for talker in talkers)
    end = time.monotonic() + 30
    while sum(len(one.latencies) for one in talkers) < sent and time.monotonic() < end:
        await asyncio.sleep(0.05)
    used = process.cpu_seconds() - cpu
    share = used / (time.monotonic() - begun)
    rss = before, process.rss_kb()
    for task in listening:
        task.cancel()
    _tell_load(talkers, sent, used, share, rss)


def _tell_load(
    talkers: list[Talker], sent: int, cpu_seconds: float, share: float, rss: tuple[int, int]
) -> None:
    latencies = sorted(one for talker in talkers for one in talker.latencies)
    answered = sum(talker.answered for talker in talkers)
    errors = [code for talker in talkers for code in talker.errors]
    print(f"connections {len(talkers)}, messages sent {sent}, stored {answered}")
    print(f"dropped {sent - len(latencies)}, errors {len(errors)} {sorted(set(errors))}")
    print(f"send to receive: p50 {1000 * statistics.median(latencies):.1f} ms,"
          f" p99 {1000 * latencies[int(0.99 * len(latencies))]:.1f} ms,"
          f" max {1000 * latencies[-1]:.1f} ms")  # fmt: skip
    print(f"RSS {rss[0] / 1024:.1f} MB before, {rss[1] / 1024:.1f} MB at the end,"
          f" {(rss[1] - rss[0]) / len(talkers):.1f} KB a connection")  # fmt: skip
    print(f"CPU {100 * share:.0f} %, {1000 * cpu_seconds / sent:.2f} ms a message")


def _idle(options: argparse.Namespace, folder: Path) -> None:
    with _gateway(options, folder) as (ours, process):
        talkers = _talkers(ours, options.connections)

        async def measure() -> None:
            before = process.rss_kb()
            sockets = await _open_all(talkers)
            cpu = process.cpu_seconds()
            await asyncio.sleep(options.seconds)
            used = (process.cpu_seconds() - cpu) / options.seconds
            each = (process.rss_kb() - before) / len(sockets)
            print(f"connections {len(sockets)}, idle for {options.seconds} s")
            print(f"RSS {before / 1024:.1f} MB before, {process.rss_kb() / 1024:.1f} MB with them,"
                  f" {each:.1f} KB a connection; CPU {100 * used:.0f} %")  # fmt: skip

        asyncio.run(measure())


def _churn(options: argparse.Namespace, folder: Path) -> None:
    redis = Redis()
    try:
        with fleet(folder, options.url, 2, redis) as ours:
            members = ours.members(options.connections)
            begun = time.monotonic()
            asyncio.run(churn(members, options.cuts, ours.harms(options.rounds), ours.last_seq))
            sent = sum(len(member.sent) for member in members)
            found = faults(members)
            cuts = [member.cuts for member in members]
            seconds = time.monotonic() - begun
            print(f"clients {len(members)}, cut {min(cuts)} to {max(cuts)} times each")
            print(f"messages {sent} in {seconds:.0f} s, meanwhile {options.rounds} times each:")
            print("  a gateway killed, Redis stopped, a gateway stopped")
            print(f"clients with a gap, a repeat or a loss: {len(found)}")
            for fault in found[:10]:
                print(f"  {fault[:300]}")
    finally:
        redis.close()


def _stalled(options: argparse.Namespace, folder: Path) -> None:
    """Clients that stop reading: when they are gone, what they cost, what another feels."""
    with _gateway(options, folder) as (ours, process):
        (chat,) = ours.sessions(1)
        talker = Talker(f"{ours.urls[0]}/chat/{chat.chat.id}", token_of(chat))
        asyncio.run(_measure_stalled(talker, process, options.connections))


async def _measure_stalled(talker: Talker, process: Process, count: int) -> None:
    good = await talker.open()
    # So that what grows afterwards is the stalled clients'.
    alone = [await _exchange(good) for _ in range(400)]
    stalled = [_stall(talker.url, talker.token) for _ in range(count)]
    before, most, begun = process.rss_kb(), 0, time.monotonic()
    beside = []
    while any(map(_is_established, stalled)) and time.monotonic() - begun < 30:
        beside.append(await _exchange(good))
        most = max(most, process.rss_kb())
    print(f"{count} are gone after {time.monotonic() - begun:.1f} s")
    print(f"RSS grew by {(most - before) / count:.0f} KB for each at most")
    for name, found in (("alone", alone), ("beside them", beside)):
        p99 = sorted(found)[int(0.99 * len(found))]
        print(f"a message of a client {name}: p99 {1000 * p99:.1f} ms of {len(found)}")
    for bad in stalled:
        bad.close()


async def _exchange(good: ClientConnection) -> float:
    """Send 4000 characters and receive them; the seconds that it took."""
    begun = time.monotonic()
    await good.send(json.dumps({"type": "message", "data": {"content": "x" * 4000}}))
    while json.loads(await good.recv())["type"] != "message":
        pass
    return time.monotonic() - begun


def _is_established(raw: socket.socket) -> bool:
    return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


def _stall(url: str, token: str) -> socket.socket:
    host, _, path = url.removeprefix("ws://").partition("/")
    name, _, port = host.rpartition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    raw.connect((name, int(port)))
    raw.sendall(
        f"GET /{path}?token={token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    seen = b""
    while b"session_joined" not in seen:
        seen += raw.recv(4096)
    return raw


class _Measured:
    """One gateway, bound to the first CPU, with this process bound to the last."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._fleet = Fleet(folder, options.url, 1, None)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    def __enter__(self) -> tuple[Fleet, Process]:
        return self._fleet, Process(self._fleet.services[0].process.pid)

    def __exit__(self, *_: object) -> None:
        self._fleet.close()


_gateway = _Measured


def _talkers(ours: Fleet, count: int) -> list[Talker]:
    return [
        Talker(f"{ours.urls[0]}/chat/{chat.chat.id}", token_of(chat))
        for chat in ours.sessions(count)
    ]


async def _open_all(talkers: list[Talker]) -> list[ClientConnection]:
    room = asyncio.Semaphore(AT_ONCE)

    async def open_one(talker: Talker) -> ClientConnection:
        async with room:
            return await talker.open()

    openings: list[Awaitable[ClientConnection]] = [open_one(talker) for talker in talkers]
    return list(await asyncio.gather(*openings))


_MODES: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "load": _load,
    "idle": _idle,
    "churn": _churn,
    "stalled": _stalled,
}

if __name__ == "__main__":
    main()
