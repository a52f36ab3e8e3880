"""CPU time of one WSGI call, measured in this process: what stays true on a busy machine.

    python -m benchmarks.calls [--url DATABASE_URL] [--agents 100000] [--profile CASE]

Prints microseconds of CPU a call: from one thread, and from 16 that take turns at the interpreter's
lock, bound to one CPU as the service is. The best of several rounds counts.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask

from benchmarks import bare
from benchmarks.control_plane import _environment, _fill
from maimconfig import logs
from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.serving.affinity import bind_to_cpu
from maimconfig.settings import load_settings

ROUNDS = 7
SECONDS_A_ROUND = 0.3
THREADS = 16

Call = Callable[[], None]


def main() -> None:
    """Measure and print."""
    options = _options()
    bind_to_cpu(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = _environment(folder, options.url)
        settings = load_settings(env)
        logs.configure(settings)
        runtime = Runtime.open(settings, auto_migrate=True)
        try:
            cases = _cases(create_app("internal", runtime), env, options.agents)
            if options.profile:
                _profile(cases[options.profile])
                return
            for case, call in cases.items():
                alone, together = _cost(call, 1), _cost(call, THREADS)
                print(f"{case:20} {alone:8.1f} us {together:8.1f} us", flush=True)
        finally:
            runtime.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="empty database to measure on; a fresh SQLite file if absent")
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--profile", help="print where the time of one case goes instead")
    return parser.parse_args()


def _cases(app: Flask, env: dict[str, str], agents: int) -> dict[str, Call]:
    def made(path: str, body: Any) -> Any:
        return app.test_client().post(path, json=body).get_json()["data"]

    tenant = made("/api/v2/tenants", {"tenant_name": "bench", "tenant_type": "enterprise"})
    owner = {"tenant_id": tenant["id"]}
    config = {"persona": {"personality": "耐心细致"}, "bot_overrides": {"nickname": "小麦"}}
    agent = made("/api/v2/agents", {**owner, "name": "first", "config": config})
    named = {**owner, "agent_id": agent["id"]}
    key = made("/api/v2/api-keys", {**named, "name": "key", "permissions": ["chat"]})
    _fill(env, tenant["id"], agents)
    page = f"tenant_id={tenant['id']}&page_size=20&page="
    return {
        "bare": _call(bare.app, "POST", "/bare", body={"api_key": "mmc_" + "x" * 150}),
        "validate": _call(
            app, "POST", "/api/v2/auth/validate-api-key", body={"api_key": key["api_key"]}
        ),
        "get agent": _call(app, "GET", f"/api/v2/agents/{agent['id']}"),
        "page 1": _call(app, "GET", "/api/v2/agents", query=page + "1"),
        "page 1000": _call(app, "GET", "/api/v2/agents", query=page + "1000"),
        "page 4000": _call(app, "GET", "/api/v2/agents", query=page + "4000"),
        "chat, offline": _call(
            app, "POST", "/api/v2/chat", body={**named, "message": "Hello", "user_id": "u"}
        ),
        "chat, new stream": _call(app, "POST", "/api/v2/chat", body={**named, "message": "Hello"}),
    }


def _call(app: Flask, method: str, path: str, *, query: str = "", body: Any = None) -> Call:
    content = json.dumps(body).encode() if body is not None else b""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if body is not None:
        environ |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(content))}

    def call() -> None:
        answered: list[str] = []

        def start_response(status: str, *_: Any) -> Any:
            answered.append(status)

        parts = app({**environ, "wsgi.input": io.BytesIO(content)}, start_response)
        said = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
        if answered != ["200 OK"]:
            raise SystemExit(f"{path}: {answered} {said!r}")

    return call


def _cost(call: Call, threads: int) -> float:
    """Microseconds of CPU a call."""
    for _ in range(20):
        call()
    return min(_round(call, threads) for _ in range(ROUNDS)) * 1e6


def _round(call: Call, threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        began, until = time.process_time(), time.process_time() + SECONDS_A_ROUND
        calls = sum(pool.map(lambda _: _calls(call, until), range(threads)))
        return (time.process_time() - began) / calls


def _calls(call: Call, until: float) -> int:
    calls = 0
    while time.process_time() < until:
        call()
        calls += 1
    return calls


def _profile(call: Call) -> None:
    for _ in range(20):
        call()
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(2000):
        call()
    profile.disable()
    pstats.Stats(profile).sort_stats("cumulative").print_stats(100)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(100)


if __name__ == "__main__":
    main()
