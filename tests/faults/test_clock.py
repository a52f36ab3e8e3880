"""The clock of the machine is set forward by an hour, and back, while the service runs."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.contract.harness import VALIDATE, Checker, Remote
from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.faults.stored import billing_is_right, nothing_is_lost, rows
from tests.servers.service import LiveService
from tests.serving.harness import eventually

HOUR = 3600
BACK = 15.0  # s until all is well after the clock was set


class Clock:
    """The clock that a service sees; that of the machine is never touched."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # No system sets the monotonic clock.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead: int) -> None:
        """Let it be so many seconds ahead from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+}\n")
        fresh.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that can be set; of Debian's package faketime."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if shutil.which("faketime") is None or found is None:
        pytest.skip("faketime is not installed (Debian: apt-get install faketime)")
    return Clock(tmp_path, found)


def seen_time(service: LiveService) -> float:
    """What time the service believes it is."""
    found: float = httpx.get(f"{service.internal}/health", timeout=30).json()["timestamp"]
    return found


def test_hour_forward_and_back(
    live_service: Callable[..., LiveService], migrated_database_url: str, clock: Clock
) -> None:
    """Nothing stops when the clock is set forward by an hour, or back: callers are answered, a
    used-up limit ends when its window does, counts are written, and ids stay unique.
    """
    service = live_service(migrated_database_url, env=clock.env)
    world = World.make(service)
    with Remote(service.internal) as caller:
        limited = caller.key(rate_limit={"limit": 1, "window_seconds": 60})
        body = {"api_key": limited["api_key"]}
        with Load(service, world) as load:
            load.settle()
            load.mark("broken")
            clock.set(HOUR)
            assert abs(seen_time(service) - time.time() - HOUR) < 60
            load.all_answer(BACK)
            assert caller.client.post(VALIDATE, json=body).status_code == 200
            assert caller.client.post(VALIDATE, json=body).status_code == 429
            counted(load, migrated_database_url)
            load.settle(20)
            clock.set(0)
            load.mark("mended")
            assert abs(seen_time(service) - time.time()) < 60
            load.all_answer(BACK)
            # The window of 60 s began an hour from now.
            assert caller.client.post(VALIDATE, json=body).status_code == 200
            counted(load, migrated_database_url)
            load.settle(40)
    load.report("the clock was set forward by an hour, and back")
    assert load.statuses() <= {200, 0}
    lost = [answer for answer in load.answers if not answer.status]
    publish("connections that were cut when the clock was set", [str(len(lost))])
    assert lost == []
    assert load.longest() < BACK
    nothing_is_lost(load, migrated_database_url)
    billing_is_right(load, migrated_database_url)
    assert '"event":"unexpected"' not in service.log
    assert len(set(load.kept.tenants)) == len(load.kept.tenants)


def counted(load: Load, database_url: str) -> None:
    """Wait until the key checks so far are written."""
    so_far = load.checked()
    query = f"SELECT usage_count FROM api_keys WHERE id = '{load.world.key['id']}'"
    eventually(lambda: rows(database_url, query)[0][0] >= so_far, within=BACK)


def test_idle_connections(live_service: Callable[..., LiveService], clock: Clock) -> None:
    """A connection that was idle for some seconds is kept when the clock jumps by an hour."""
    service = live_service(env=clock.env)
    with contextlib.closing(Checker(service.internal, "no key").connect()) as kept:
        own_end = kept.sock.getsockname()
        for ahead in (HOUR, 0):
            assert kept.check() == 400
            clock.set(ahead)
            # Idle ones are looked for every 5 s, when the loop turns.
            for _ in range(7):
                httpx.get(f"{service.internal}/health/live", timeout=30)
                time.sleep(1)
            assert kept.check() == 400
            assert kept.sock.getsockname() == own_end
