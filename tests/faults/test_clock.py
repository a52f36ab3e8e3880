"""The clock of the machine is set forward by an hour, and back, while the service runs."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.harness import VALIDATE, Checker, Remote, stored_count
from tests.faults.load import Load, World
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

HOUR = 3600
BACK = 15.0  # s until all is well after the clock was set
LOOKS = 6.0  # s in which the service has looked for idle connections; it does every 5 s


class Clock:
    """The clock that a service sees; that of the machine is never touched."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # s until all see that it was set
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


def shows(service: LiveService, ahead: int) -> bool:
    """Whether the service believes that it is so many seconds later than it is."""
    answer = httpx.get(f"{service.internal}/health", timeout=PATIENCE)
    return bool(abs(answer.json()["timestamp"] - time.time() - ahead) < 60)


def test_hour_forward_and_back(
    live_service: Callable[..., LiveService], migrated_database_url: str, clock: Clock
) -> None:
    """Nothing stops when the clock is set forward by an hour, or back: callers are answered, idle
    connections are kept, a used-up limit ends when its window does, counts are written, and ids
    stay unique.
    """
    service = live_service(migrated_database_url, env=clock.env)
    world = World.make(service)
    with Remote(service.internal) as caller, Load(service, world) as load:
        limited = caller.key(rate_limit={"limit": 1, "window_seconds": 60})
        load.settle()
        with idle_connection(service):
            load.mark("broken")
            clock.set(HOUR)
            goes_on(service, load, migrated_database_url, HOUR)
            assert statuses(caller, limited) == [200, 429]
        with idle_connection(service):
            clock.set(0)
            load.mark("mended")
            goes_on(service, load, migrated_database_url, 0)
            # The window of 60 s began an hour from now.
            assert statuses(caller, limited) == [200, 429]
    load.report("the clock was set forward by an hour, and back")
    assert load.statuses() == {200}
    assert load.longest() < BACK
    nothing_is_lost(load, migrated_database_url)
    billing_is_right(load, migrated_database_url)
    assert '"event":"unexpected"' not in service.log
    assert len(set(load.kept.tenants)) == len(load.kept.tenants)


def goes_on(service: LiveService, load: Load, database_url: str, ahead: int) -> None:
    """Wait until the service sees that the clock was set; then all are answered and counted."""
    eventually(lambda: shows(service, ahead))
    load.all_answer(BACK)
    so_far = load.checked()
    eventually(lambda: stored_count(database_url, load.world.key) >= so_far, within=BACK)


def statuses(caller: Remote, key: dict[str, Any]) -> list[int]:
    """What becomes of two checks of a key."""
    body = {"api_key": key["api_key"]}
    return [caller.client.post(VALIDATE, json=body).status_code for _ in range(2)]


@contextlib.contextmanager
def idle_connection(service: LiveService) -> Iterator[None]:
    """A connection that does nothing meanwhile, nor until idle ones were looked for; kept."""
    with contextlib.closing(Checker(service.internal, "no key").connect()) as kept:
        assert kept.check() == 400
        own_end = kept.sock.getsockname()
        since = time.monotonic()
        yield
        time.sleep(max(0.0, since + LOOKS - time.monotonic()))
        assert kept.check() == 400
        assert kept.sock.getsockname() == own_end
