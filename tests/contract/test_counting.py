"""Each check counts once, whoever checks: threads, processes, limits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.contract.harness import MASTER_SECRET, Checker, Remote, in_threads, stored_count
from tests.servers.service import LiveService
from tests.serving.harness import eventually

Start = Callable[..., LiveService]

THREADS = 8
CHECKS = 200
WITHIN = 1.0  # s, contract: "follows within a second"
BUSY = 1.5  # s more for a machine that is busy with other tests


@pytest.fixture
def pair(live_service: Start, migrated_database_url: str) -> tuple[LiveService, LiveService]:
    """Two services on one database, with one master secret."""
    env = {"MAIMCONFIG_SECRET_KEY": MASTER_SECRET}
    first, second = (live_service(migrated_database_url, env=env) for _ in range(2))
    return first, second


def check_often(base_url: str, api_key: str, times: int) -> Counter[int]:
    """Validate a key so often, over one connection; how many answers had which status."""
    checker = Checker(base_url, api_key).connect()
    try:
        return Counter(checker.check() for _ in range(times))
    finally:
        checker.close()


def test_every_check_counts_once(
    pair: tuple[LiveService, LiveService], migrated_database_url: str
) -> None:
    """2 processes x 8 threads x 200 checks make usage_count 3200 a second later, and for good."""
    with Remote(pair[0].internal) as caller:
        key = caller.key()
        calls = [
            lambda url=service.internal: check_often(url, key["api_key"], CHECKS)
            for service in pair
            for _ in range(THREADS)
        ]
        statuses = sum(in_threads(calls), Counter())
        total = len(pair) * THREADS * CHECKS
        assert statuses == {200: total}
        eventually(lambda: caller.usage_count(key) == total, within=WITHIN + BUSY)
    assert [service.stop() for service in pair] == [0, 0]
    assert stored_count(migrated_database_url, key) == total


def test_last_use_follows(pair: tuple[LiveService, LiveService]) -> None:
    """last_used_at becomes the time of the last check, in whichever process."""
    with Remote(pair[0].internal) as caller:
        key = caller.key()
        assert key["last_used_at"] is None
        seen = [None]
        for service in pair:
            before = time.time()
            assert check_often(service.internal, key["api_key"], 1) == {200: 1}

            def last_use() -> str | None:
                return caller.data("GET", f"/api/v2/api-keys/{key['id']}")["last_used_at"]

            eventually(lambda seen=seen, ask=last_use: ask() != seen[-1], within=WITHIN + BUSY)
            seen.append(last_use())
            moment = time.mktime(time.strptime(seen[-1][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
            assert int(before) <= moment <= time.time()
    assert seen[1] < seen[2]


def test_limit_over_processes(pair: tuple[LiveService, LiveService]) -> None:
    """Of 200 parallel checks over 2 processes of a key limited to 50 exactly 50 pass."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(rate_limit={"limit": 50, "window_seconds": 3600})
        calls = [
            lambda url=service.internal: check_often(url, key["api_key"], 1)
            for service in pair
            for _ in range(100)
        ]
        assert sum(in_threads(calls), Counter()) == {200: 50, 429: 150}
        eventually(lambda: caller.usage_count(key) == 50, within=WITHIN + BUSY)


def test_uncounted_checks(pair: tuple[LiveService, LiveService]) -> None:
    """check-permission, and validation with check_rate_limit false, count nothing."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(rate_limit={"limit": 1, "window_seconds": 3600})
        for _ in range(3):
            body = {"api_key": key["api_key"]}
            caller.data("POST", "/api/v2/auth/check-permission", {**body, "permission": "chat"})
            unlimited = {**body, "check_rate_limit": False}
            answer = caller.data("POST", "/api/v2/auth/validate-api-key", unlimited)
            assert answer["rate_limit"]["remaining"] == 1
        assert pair[0].stop() == 0
    with Remote(pair[1].internal) as caller:
        assert caller.usage_count(key) == 0
