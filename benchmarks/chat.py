"""Chats beside the provider that answers them: throughput, first delta, memory of idle streams.

    python -m benchmarks.chat [--url DATABASE_URL] [--seconds 5] [--runs 3]

Needs wrk. The provider is benchmarks/provider.py, which answers at once.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.control_plane import _call, _environment, _post
from benchmarks.processes import Load, Served, wrk

CONNECTIONS = (1, 8, 32)
IDLE_STREAMS = 24
FIRST_DELTAS = 100


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        log = folder / "errors.log"
        provider = stack.enter_context(
            Served(["-m", "benchmarks.provider"], ["provider"], {}, log)
        ).urls["provider"]
        env = _environment(folder, options.url) | {
            "OPENAI_API_KEY": "sk-benchmark",
            "OPENAI_BASE_URL": f"{provider}/v1",
        }
        command = ["-m", "maimconfig", "serve", "--auto-migrate"]
        served = stack.enter_context(Served(command, ["internal"], env, log))
        base = served.urls["internal"]
        agent = _agent(base)
        message = {**agent, "message": "Hello"}
        asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        direct = (provider + "/v1/chat/completions", asked)
        ours = (base + "/api/v2/chat", message)
        _print_rates(_rates(folder, direct, options), _rates(folder, ours, options))
        _print_first_deltas(_first_delta(*direct), _first_delta(*ours))
        before = served.rss_mb()
        streams = [_open((base + "/api/v2/chat"), _stalling(message)) for _ in range(IDLE_STREAMS)]
        print(f"RSS: {before:.0f} MB, {served.rss_mb():.0f} MB with {len(streams)} idle streams.")
        for stream in streams:
            stream.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="empty database to measure on; a fresh SQLite file if absent")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _agent(base: str) -> dict[str, str]:
    tenant = _call(base, "/api/v2/tenants", {"tenant_name": "bench", "tenant_type": "personal"})
    agent = _call(base, "/api/v2/agents", {"tenant_id": tenant["id"], "name": "bench"})
    return {"tenant_id": tenant["id"], "agent_id": agent["id"]}


def _rates(folder: Path, case: tuple[str, Any], options: argparse.Namespace) -> dict[int, Load]:
    url, body = case
    script = _post(folder, "chat", body)
    found = {}
    for connections in CONNECTIONS:
        loads = [
            wrk(url, connections=connections, seconds=options.seconds, script=script)
            for _ in range(options.runs)
        ]
        found[connections] = Load(
            rate=statistics.median(load.rate for load in loads),
            p99=statistics.median(load.p99 for load in loads),
            failed=sum(load.failed for load in loads),
        )
    return found


def _first_delta(url: str, body: Any) -> float:
    """Milliseconds from a request to the first delta of its stream, the median of many."""
    times = []
    for _ in range(FIRST_DELTAS):
        began = time.perf_counter()
        stream = _open(url, {**body, "stream": True})
        times.append(1000 * (time.perf_counter() - began))
        stream.close()
    return statistics.median(times)


def _stalling(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "message": "stall", "stream": True}


def _open(url: str, body: Any) -> socket.socket:
    """A stream whose first delta has come."""
    address = urlsplit(url)
    content = json.dumps(body).encode()
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(
        f"POST {address.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n".encode()
        + content
    )
    seen = b""
    while b'"content":' not in seen.replace(b'": ', b'":'):
        piece = connection.recv(65536)
        assert piece, seen
        seen += piece
    return connection


def _print_rates(direct: dict[int, Load], ours: dict[int, Load]) -> None:
    print("| connections | provider/s | chats/s | ratio | p99 ms of a chat | failed |")
    print("|---|---|---|---|---|---|")
    for connections, load in ours.items():
        rate = direct[connections].rate
        print(
            f"| {connections} | {rate:.0f} | {load.rate:.0f} | {load.rate / rate:.2f} "
            f"| {load.p99:.1f} | {load.failed + direct[connections].failed} |"
        )


def _print_first_deltas(direct: float, ours: float) -> None:
    print(f"\nFirst delta: {direct:.1f} ms from the provider, {ours:.1f} ms through the service.")


if __name__ == "__main__":
    main()
