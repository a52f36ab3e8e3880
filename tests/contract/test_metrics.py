"""What /metrics tells of several workers under load is what their callers saw."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import httpx

from tests.contract.harness import VALIDATE, Crowd, Remote, workers_of
from tests.metrics.scraped import Samples, samples_of, total
from tests.servers.service import LiveService
from tests.serving.harness import eventually

CHECKS = "maimconfig_key_checks_total"
COUNT = "maimconfig_http_request_duration_seconds_count"
CLIENTS = 6
BUSY = 240.0  # s; four workers are renewed one by one, under load


def scrape(service: LiveService) -> Samples:
    """The page, of whichever worker answers."""
    return samples_of(httpx.get(f"{service.internal}/metrics", timeout=60).text)


def checks(service: LiveService, status: int) -> float:
    """How many validations all workers answered with a status."""
    return total(scrape(service), COUNT, route=VALIDATE, status=status)


def test_equal_to_callers(
    live_service: Callable[..., LiveService], migrated_database_url: str
) -> None:
    """Under 4 workers requests and key checks are those that callers counted, to the last one,
    through a rolling restart too; and every worker that is asked says the same."""
    service = live_service(migrated_database_url, "--workers", "4")
    eventually(lambda: total(scrape(service), "maimconfig_processes") == 4)
    with Remote(service.internal) as caller:
        key = caller.key()["api_key"]
    bad = key[:-8] + "AAAAAAA="
    with Crowd(service.internal, key, CLIENTS) as good, Crowd(service.internal, bad, 2) as wrong:
        eventually(lambda: good.answered >= 300 and wrong.answered >= 50, BUSY)
        before = workers_of(service)
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(now := workers_of(service)) == 4 and not now & before, BUSY)
        more = good.answered + 100
        eventually(lambda: good.answered >= more)
    assert (good.lost, wrong.lost) == ([], [])
    assert set(good.statuses) == {200}
    (refused,) = wrong.statuses
    eventually(lambda: checks(service, 200) == good.answered)
    eventually(lambda: checks(service, refused) == wrong.answered)
    for _ in range(8):
        found = scrape(service)
        assert total(found, CHECKS, result="valid") == good.answered
        assert total(found, CHECKS) == good.answered + wrong.answered
        assert total(found, COUNT, route=VALIDATE) == good.answered + wrong.answered
        assert total(found, "maimconfig_processes") == 4


def test_killed_worker(live_service: Callable[..., LiveService]) -> None:
    """What a worker counted before a kill -9 still counts; and the folder goes with the service."""
    service = live_service(None, "--workers", "2")
    with Remote(service.internal) as caller:
        key = caller.key()["api_key"]
    with Crowd(service.internal, key, 4) as crowd:
        eventually(lambda: crowd.answered >= 100)
    eventually(lambda: checks(service, 200) == crowd.answered)
    time.sleep(1.5)  # so that it's known to the others
    before = workers_of(service)
    for pid in sorted(before)[:1]:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(now := workers_of(service)) == 2 and now != before)
    assert checks(service, 200) == crowd.answered
    service.stop()
