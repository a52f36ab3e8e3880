"""Passwords tried by a script: few reach the hash, and the owner doesn't notice."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from tests.contract.harness import in_threads
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE

# By hand: MAIMCONFIG_TEST_BRUTE_FORCE_TRIES=10000
TRIES = int(os.environ.get("MAIMCONFIG_TEST_BRUTE_FORCE_TRIES", "500"))
CONNECTIONS = 4
LIMIT = 5  # a minute, by default
PASSWORD = "correct horse battery"


def guess(service: LiveService, tries: int, name: str) -> Counter[str]:
    """Try passwords over one connection; how often each error code was the answer."""
    address = urlsplit(service.public)
    client = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE)
    codes: Counter[str] = Counter()
    for number in range(tries):
        body = json.dumps({"username": name, "password": f"guess number {number}"})
        client.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
        answer = client.getresponse()
        found = json.load(answer)
        codes[found.get("error_code", "logged in")] += 1
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) > 0
    client.close()
    return codes


def test_brute_force(live_service: Callable[..., LiveService], database_url: str) -> None:
    """Of all tries over four connections no more than five a minute reach the hash, and meanwhile
    the owner's session goes on: calls, a refresh, and calls with the new token."""
    service = live_service(database_url, "--auto-migrate")
    owner = httpx.Client(base_url=f"{service.public}/api/v1", timeout=PATIENCE)
    user = {"username": "owner", "password": PASSWORD}
    assert owner.post("/auth/register", json=user).status_code == 200
    tokens = owner.post("/auth/login", json=user).json()
    over = threading.Event()
    calls: Counter[int] = Counter()

    def live() -> None:
        nonlocal tokens
        while not over.is_set():
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            calls[owner.get("/agents/", headers=headers).status_code] += 1
            answer = owner.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
            calls[answer.status_code] += 1
            tokens = answer.json()
            over.wait(0.05)

    def attack() -> Counter[str]:
        try:
            guesses = [lambda: guess(service, TRIES // CONNECTIONS, "owner")] * CONNECTIONS
            return sum(in_threads(guesses), Counter())
        finally:
            over.set()

    began = time.monotonic()
    codes, _ = in_threads([attack, live])
    minutes = int((time.monotonic() - began) // 60) + 1
    assert codes.keys() == {"AUTH_007", "RATE_001"}
    assert codes.total() == TRIES // CONNECTIONS * CONNECTIONS
    # Whatever is answered otherwise never reached the hash (tests/users/test_throttling.py).
    assert LIMIT <= codes["AUTH_007"] <= LIMIT * minutes
    assert set(calls) == {200}
    assert calls[200] > 2
    owner.close()
