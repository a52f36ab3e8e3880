"""Redis is killed or hangs: what it carries comes later, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.realtime.fleet import fleet
from tests.realtime.harness import Client, token_of
from tests.servers.redis import Redis
from tests.servers.service import LiveService

WAYS = ("kill", "pause")
QUICK = 5.0  # s; the machine may be busy with other tests
LOOK = 2.0  # s: the gateways look so often by themselves


@pytest.mark.parametrize("way", WAYS)
def test_callers(
    live_service: Callable[..., LiveService],
    tmp_path: Path,
    private_redis: Redis,
    outage: float,
    way: str,
) -> None:
    """Callers over HTTP don't notice that Redis is away."""
    env = {"MAIMCONFIG_REDIS_URL": private_redis.url}
    database_url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(database_url, env=env)
    with Load(service, World.make(service)) as load:
        load.settle()
        getattr(private_redis, way)()
        load.waits(outage)
        private_redis.resume() if way == "pause" else private_redis.start()
        load.all_answer(QUICK)
    load.report(f"Redis {way}")
    assert load.statuses() == {200}
    assert load.longest() < QUICK
    nothing_is_lost(load, database_url)
    billing_is_right(load, database_url)


@pytest.mark.parametrize("way", WAYS)
def test_gateways(tmp_path: Path, private_redis: Redis, way: str) -> None:
    """Messages between gateways come in order while Redis is away, some seconds late at most."""
    waits = []
    with fleet(tmp_path, None, 2, private_redis) as ours:
        (chat,) = ours.sessions(1)
        here, there = (Client(f"{url}?token={token_of(chat)}") for url in ours.urls)
        with here, there:
            last = 0
            for one in (here, there):
                one.receive("auth")
                last = one.join(chat)["last_seq"]
            getattr(private_redis, way)()
            for number in range(3):
                began = time.monotonic()
                here.say(chat, f"message {number}")
                assert there.until("message")["seq"] == last + 1 + number
                waits.append(time.monotonic() - began)
            private_redis.resume() if way == "pause" else private_redis.start()
            here.say(chat, "it is back")
            assert there.until("message")["seq"] == last + 4
    publish(f"gateways while Redis {way}", [f"longest wait {max(waits):.1f} s"])
    assert max(waits) < LOOK + QUICK
