"""Redis is killed or hangs: what it carries comes later, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.load import Load, World
from tests.faults.report import publish
from tests.faults.stored import billing_is_right, nothing_is_lost
from tests.realtime.fleet import fleet
from tests.realtime.harness import Client, token_of
from tests.servers.redis import Redis
from tests.servers.service import LiveService

QUICK = 5.0  # s; the machine may be busy with other tests
LOOK = 2.0  # s: the gateways look so often by themselves
WAYS = ((Redis.kill, Redis.start), (Redis.pause, Redis.resume))


def test_callers(
    live_service: Callable[..., LiveService], tmp_path: Path, private_redis: Redis, outage: float
) -> None:
    """Callers over HTTP don't notice that Redis is killed, or hangs."""
    env = {"MAIMCONFIG_REDIS_URL": private_redis.url}
    database_url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(database_url, env=env)
    with Load(service, World.make(service)) as load:
        load.settle()
        for harm, mend in WAYS:
            harm(private_redis)
            load.waits(outage)
            mend(private_redis)
            load.all_answer(QUICK)
    load.report("Redis killed, and hanging")
    assert load.statuses() == {200}
    assert load.longest() < QUICK
    nothing_is_lost(load, database_url)
    billing_is_right(load, database_url)


def test_gateways(tmp_path: Path, private_redis: Redis) -> None:
    """Messages between gateways come in order while Redis is killed, or hangs, some seconds late
    at most.
    """
    waits = []
    with fleet(tmp_path, None, 2, private_redis) as ours:
        (chat,) = ours.sessions(1)
        here, there = (Client(f"{url}?token={token_of(chat)}") for url in ours.urls)
        with here, there:
            for one in (here, there):
                one.receive("auth")
                last = one.join(chat)["last_seq"]
            for harm, mend in WAYS:
                harm(private_redis)
                began = time.monotonic()
                for number in range(3):
                    here.say(chat, f"message {number}")
                for _ in range(3):
                    last += 1
                    assert there.until("message")["seq"] == last
                waits.append(time.monotonic() - began)
                mend(private_redis)
                here.say(chat, "it is back")
                last += 1
                assert there.until("message")["seq"] == last
    publish("gateways while Redis is killed, and hangs", [f"longest wait {max(waits):.1f} s"])
    assert max(waits) < LOOK + QUICK
