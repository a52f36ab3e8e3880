"""wsgi.py under a server that loads the apps first and forks afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.command import environment
from tests.contract.harness import MASTER_SECRET, stored_count
from tests.servers.service import STOP_SECONDS
from tests.serving.harness import eventually

ROOT = Path(__file__).parent.parent
CHECKS = 60
ADMIN = "the first password"

# What a pre-forking server does: load, listen, fork, and end its children by SIGTERM.
SERVER = """
import os, signal, socket, sys
import wsgi
from waitress import serve

listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        public = os.fork() == 0
        app, listener = (wsgi.public, 0) if public else (wsgi.internal, 1)
        serve(app, sockets=[listeners[listener]], threads=4)
        sys.exit(0)
    children.append(child)
print(*(listener.getsockname()[1] for listener in listeners), flush=True)
sys.stdin.read()
os.killpg(0, signal.SIGTERM)
"""


@pytest.fixture
def served(migrated_database_url: str, tmp_path: Path) -> Iterator[tuple[httpx.Client, ...]]:
    """Callers of both planes, each served by two processes of the fork."""
    settings = {
        "DATABASE_URL": migrated_database_url,
        "MAIMCONFIG_SECRET_KEY": MASTER_SECRET,
        "MAIMCONFIG_LOG_FILE": str(tmp_path / "service.log"),
        "MAIMCONFIG_ADMIN_EMAIL": "root@example.com",
        "MAIMCONFIG_ADMIN_PASSWORD": ADMIN,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=ROOT,
        env=environment(tmp_path, **settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        ports = process.stdout.readline().split()
        clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) for port in ports]
        yield tuple(clients)
        for client in clients:
            client.close()
    finally:
        process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):  # as it should be
                os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()


def test_prefork(
    served: tuple[httpx.Client, ...], migrated_database_url: str, tmp_path: Path
) -> None:
    """No connection is shared by the processes, both planes answer, an administrator is made, each
    use of a key is counted, and the log holds no key."""
    public, internal = served

    def made(path: str, body: Any) -> Any:
        answer = internal.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    tenant = made("/api/v2/tenants", {"tenant_name": "t", "tenant_type": "personal"})
    owner = {"tenant_id": tenant["id"], "name": "a"}
    agent = made("/api/v2/agents", owner)
    key = made("/api/v2/api-keys", {**owner, "agent_id": agent["id"]})

    def check(_: int) -> int:
        # A connection of its own, so that both processes get some.
        path = f"{internal.base_url}/api/v2/auth/validate-api-key"
        return httpx.post(path, json={"api_key": key["api_key"]}, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(check, range(CHECKS))) == [200] * CHECKS
    login = {"email": "root@example.com", "password": ADMIN}
    answer = public.post("/api/v1/auth/login", json=login)
    assert answer.json()["user"]["role"] == "admin", answer.text
    assert public.get("/api/v2/tenants").status_code == 404
    assert internal.get(f"/api/v2/api-keys/{key['api_key']}").status_code == 404
    eventually(lambda: stored_count(migrated_database_url, key) == CHECKS)
    log = (tmp_path / "service.log").read_text()
    assert log.count('"/api/v2/auth/validate-api-key"') >= CHECKS
    assert key["api_key"] not in log
    assert "unexpected" not in log
