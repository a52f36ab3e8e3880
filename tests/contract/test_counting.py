"""Each check counts once, whoever checks: threads, processes, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from tests.contract.harness import MASTER_SECRET, Checker, Remote, in_threads
from tests.servers.service import LiveService
from tests.serving.harness import eventually

Pair = tuple[LiveService, LiveService]

THREADS = 8
CHECKS = 200
WITHIN = 1.0  # s, contract: "follows within a second"
BUSY = 2.0  # s more for a machine that is busy with other tests


@pytest.fixture(scope="module")
def pair(shared_service: Callable[..., LiveService], migrated_database_url: str) -> Pair:
    """Two services on one database, with one master secret."""
    env = {"MAIMCONFIG_SECRET_KEY": MASTER_SECRET}
    first, second = (shared_service(migrated_database_url, cpu=n, env=env) for n in range(2))
    return first, second


def check_often(base_url: str, api_key: str, times: int = 1) -> Counter[int]:
    """Validate a key so often, over one connection; how many answers had which status."""
    checker = Checker(base_url, api_key).connect()
    try:
        return Counter(checker.check() for _ in range(times))
    finally:
        checker.close()


def all_is_written(pair: Pair, caller: Remote) -> None:
    """Wait until what both have counted so far is in the database.

    A later check of another key is written later, or together with the earlier ones.
    """
    for service in pair:
        marker = caller.key()
        assert check_often(service.internal, marker["api_key"]) == {200: 1}
        eventually(lambda key=marker: caller.usage_count(key) == 1)


def test_every_check_counts_once(pair: Pair) -> None:
    """2 processes x 8 threads x 200 checks make usage_count 3200 a second later, and for good."""
    with Remote(pair[0].internal) as caller:
        key = caller.key()
        calls = [
            lambda url=service.internal: check_often(url, key["api_key"], CHECKS)
            for service in pair
            for _ in range(THREADS)
        ]
        total = len(pair) * THREADS * CHECKS
        assert sum(in_threads(calls), Counter()) == {200: total}
        eventually(lambda: caller.usage_count(key) == total, within=WITHIN + BUSY)
        all_is_written(pair, caller)
        assert caller.usage_count(key) == total


def test_last_use_follows(pair: Pair) -> None:
    """last_used_at becomes the time of the last check, in whichever process."""
    with Remote(pair[0].internal) as caller:
        path = f"/api/v2/api-keys/{caller.key()['id']}"
        key = caller.data("GET", path)
        assert key["last_used_at"] is None
        for service in pair:
            before = datetime.now(timezone.utc)
            assert check_often(service.internal, key["api_key"]) == {200: 1}
            after = datetime.now(timezone.utc)
            eventually(lambda old=key: caller.usage_count(old) == old["usage_count"] + 1)
            key = caller.data("GET", path)
            assert before <= datetime.fromisoformat(key["last_used_at"][:-1] + "+00:00") <= after


def test_limit_over_processes(pair: Pair) -> None:
    """Of 200 parallel checks over 2 processes of a key limited to 50 exactly 50 pass."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(rate_limit={"limit": 50, "window_seconds": 3600})
        calls = [
            lambda url=service.internal: check_often(url, key["api_key"])
            for service in pair
            for _ in range(100)
        ]
        assert sum(in_threads(calls), Counter()) == {200: 50, 429: 150}
        all_is_written(pair, caller)
        assert caller.usage_count(key) == 50


def test_uncounted_checks(pair: Pair) -> None:
    """check-permission, and validation with check_rate_limit false, count nothing."""
    with Remote(pair[0].internal) as caller:
        key = caller.key(rate_limit={"limit": 1, "window_seconds": 3600})
        body = {"api_key": key["api_key"]}
        for _ in range(3):
            caller.data("POST", "/api/v2/auth/check-permission", {**body, "permission": "chat"})
            unlimited = {**body, "check_rate_limit": False}
            answer = caller.data("POST", "/api/v2/auth/validate-api-key", unlimited)
            assert answer["rate_limit"]["remaining"] == 1
        all_is_written(pair, caller)
        assert caller.usage_count(key) == 0
