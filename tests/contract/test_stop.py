"""How the service ends: in good order without losing anything, or killed without losing much."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.contract.harness import Crowd, Remote, holder_of, stored_count, workers_of
from tests.servers.service import LiveService
from tests.serving.harness import eventually, lives

Start = Callable[..., LiveService]

CONNECTIONS = 16
WRITERS = 4
ROUNDS = int(os.environ.get("MAIMCONFIG_TEST_KILL_ROUNDS") or 5)
UNWRITTEN = 1.0  # s, contract: "at most one second of counts at a kill -9"
BUSY = 2.0  # s more for a machine that is busy with other tests


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load(live_service: Start, migrated_database_url: str, workers: int) -> None:
    """SIGTERM under load of 16 connections: no request fails, exit 0, each 200 is counted."""
    service = live_service(migrated_database_url, "--workers", str(workers))
    with Remote(service.internal) as caller:
        key = caller.key()
    with Crowd(service.internal, key["api_key"], CONNECTIONS) as crowd:
        eventually(lambda: crowd.answered > 400)
        at_signal = crowd.answered
        assert service.stop() == 0
    assert crowd.lost == []
    assert crowd.statuses == {200: crowd.answered}
    assert crowd.answered > at_signal
    assert stored_count(migrated_database_url, key) == crowd.answered
    service.start()
    with Remote(service.internal) as caller:
        assert caller.usage_count(key) == crowd.answered


class Writers:
    """Threads that create tenants until nobody answers any more.

    Attributes:
        acknowledged: the ids that were answered.
    """

    def __init__(self, base_url: str) -> None:
        self.acknowledged: list[str] = []
        self._url = base_url
        self._threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        with Remote(self._url) as caller, contextlib.suppress(httpx.TransportError):
            while True:
                self.acknowledged.append(caller.tenant()["id"])


def all_tenants(base_url: str) -> Iterator[str]:
    """The ids of all tenants."""
    with Remote(base_url) as caller:
        page: dict[str, Any] = {"pagination": {"has_next": True, "page": 0}}
        while page["pagination"]["has_next"]:
            query = f"page={page['pagination']['page'] + 1}&page_size=100"
            page = caller.data("GET", f"/api/v2/tenants?{query}")
            yield from (tenant["id"] for tenant in page["items"])


def test_killed_while_writing(live_service: Start, migrated_database_url: str) -> None:
    """kill -9 while 4 threads write, again and again: each answered write is there, and it starts
    again.
    """
    service = live_service(migrated_database_url)
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        enough = random.randint(5, 40)
        with Writers(service.internal) as writers:
            eventually(lambda crowd=writers, goal=enough: len(crowd.acknowledged) >= goal)
            service.kill()
        acknowledged += writers.acknowledged
        service.start()
        assert httpx.get(f"{service.internal}/health/ready").status_code == 200
        assert set(all_tenants(service.internal)) >= set(writers.acknowledged)
    stored = set(all_tenants(service.internal))
    assert stored >= set(acknowledged)
    assert len(stored) <= len(acknowledged) + ROUNDS * WRITERS


def test_killed_while_counting(live_service: Start, migrated_database_url: str) -> None:
    """kill -9 loses at most the counts of the last second, and invents none."""
    service = live_service(migrated_database_url)
    with Remote(service.internal) as caller:
        key = caller.key()
    clients = 4
    with Crowd(service.internal, key["api_key"], clients) as crowd:
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > UNWRITTEN + BUSY + 1)
        service.kill()
        killed = time.monotonic()
    old = sum(moment < killed - UNWRITTEN - BUSY for moment in crowd.answered_at)
    assert 0 < old <= stored_count(migrated_database_url, key) <= crowd.answered + clients


def test_one_worker_is_killed(live_service: Start, migrated_database_url: str) -> None:
    """kill -9 of one of two workers under load: only its own connections break, and a new worker
    takes its place.
    """
    service = live_service(migrated_database_url, "--workers", "2")
    with Remote(service.internal) as caller:
        key = caller.key()
    eventually(lambda: len(workers_of(service)) == 2)
    victim, survivor = workers_of(service)
    with Crowd(service.internal, key["api_key"], CONNECTIONS) as crowd:
        eventually(lambda: crowd.answered > 200 and len(crowd.open) == CONNECTIONS)
        its_own = sum(holder_of(checker, service) == victim for checker in list(crowd.open))
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: not lives(victim))
        eventually(lambda: len(workers_of(service) - {victim, survivor}) == 1)
        goal = crowd.answered + 400
        eventually(lambda: crowd.answered > goal and len(crowd.open) == CONNECTIONS)
        assert lives(survivor)
    assert crowd.statuses == {200: crowd.answered}
    assert len(crowd.lost) == its_own
    assert service.stop() == 0
