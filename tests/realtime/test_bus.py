"""Events: within a process, and among several over a Redis that comes and goes."""

from __future__ import annotations

import contextlib
import queue
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from maimconfig.db.lifecycle import StartError
from maimconfig.events import Event, Look, Passing
from maimconfig.realtime.bus import MemoryBus, open_bus
from maimconfig.realtime.redis_bus import CHANNEL, RedisBus
from tests.servers.redis import Redis
from tests.serving.harness import PATIENCE, eventually

Open = Callable[[str], RedisBus]

TYPING = Passing("conv_1", "typing", {"user_id": "u", "is_typing": True}, staff_only=True)


@pytest.fixture
def open_redis_bus() -> Iterator[Open]:
    """Opens buses, as so many processes would, and closes them."""
    with contextlib.ExitStack() as ends:
        yield lambda url: ends.enter_context(contextlib.closing(RedisBus(url)))


def heard_by(bus: MemoryBus) -> queue.Queue[Event]:
    """What a listener of the bus hears from now on."""
    heard: queue.Queue[Event] = queue.Queue()
    bus.subscribe(heard.put)
    return heard


def reaches(bus: MemoryBus, heard: queue.Queue[Event]) -> bool:
    """Whether an event published now arrives; those that came before are thrown away."""
    while not heard.empty():
        heard.get()
    bus.publish(Look("conv_probe"))
    with contextlib.suppress(queue.Empty):
        return heard.get(timeout=0.3) == Look("conv_probe")
    return False


def after_probes(heard: queue.Queue[Event]) -> Event:
    """The next event that isn't a probe of `reaches`."""
    while (event := heard.get(timeout=PATIENCE)) == Look("conv_probe"):
        pass
    return event


def test_memory_bus() -> None:
    """Each listener gets each event until it unsubscribes, whatever another listener does."""
    bus = MemoryBus()

    def broken(event: Event) -> None:
        raise RuntimeError("a listener of somebody else's")

    bus.subscribe(broken)
    heard: list[Event] = []
    unsubscribe = bus.subscribe(heard.append)
    bus.publish(Look("conv_1"))
    unsubscribe()
    bus.publish(Look("conv_2"))
    assert heard == [Look("conv_1")]


def test_both_kinds_reach_other_processes(redis_url: str, open_redis_bus: Open) -> None:
    """An event reaches its own process's listeners once, at once, and those of the others."""
    here, there = open_redis_bus(redis_url), open_redis_bus(redis_url)
    heard_here, heard_there = heard_by(here), heard_by(there)
    eventually(lambda: reaches(here, heard_there) and reaches(there, heard_here))
    for event in (TYPING, Look("conv_2")):
        here.publish(event)
        assert after_probes(heard_there) == event
        assert after_probes(heard_here) == event
    time.sleep(0.3)  # in which a copy would come back from Redis
    assert heard_here.empty()
    assert heard_there.empty()


def test_looks_are_gathered(redis_url: str, open_redis_bus: Open) -> None:
    """A burst of looks is told of each conversation, in far fewer messages."""
    here, there = open_redis_bus(redis_url), open_redis_bus(redis_url)
    heard = heard_by(there)
    eventually(lambda: reaches(here, heard))
    client = redis.Redis.from_url(redis_url)
    with client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(CHANNEL)
        for number in range(5000):
            here.publish(Look(f"conv_{number % 10}"))
        eventually(lambda: heard.qsize() >= 10)
        time.sleep(0.3)
        sent = 0
        while channel.get_message(timeout=0.1):
            sent += 1
    client.close()
    seen = {heard.get() for _ in range(heard.qsize())}
    assert seen == {Look(f"conv_{number}") for number in range(10)}
    assert sent < 2500


@pytest.mark.parametrize("harm", ["stop", "pause"])
def test_redis_goes_and_comes_back(private_redis: Redis, open_redis_bus: Open, harm: str) -> None:
    """While Redis is stopped or hangs, publishing neither raises nor waits, and the listeners of
    the own process hear; when it's back, the others do again.
    """
    here, there = open_redis_bus(private_redis.url), open_redis_bus(private_redis.url)
    heard_here, heard_there = heard_by(here), heard_by(there)
    eventually(lambda: reaches(here, heard_there))
    getattr(private_redis, harm)()
    begun = time.monotonic()
    for _ in range(1000):
        here.publish(TYPING)
    assert time.monotonic() - begun < 5  # a call each would take 200 s
    assert reaches(here, heard_here)
    private_redis.start() if harm == "stop" else private_redis.resume()
    eventually(lambda: reaches(here, heard_there))


def test_redis_that_was_never_there(open_redis_bus: Open) -> None:
    """A bus opens, works within the process and closes without any Redis."""
    bus = open_redis_bus("redis://127.0.0.1:1/0")
    assert reaches(bus, heard_by(bus))


def test_strangers_on_the_channel(redis_url: str, open_redis_bus: Open) -> None:
    """What others write on the channel is passed over."""
    here, there = open_redis_bus(redis_url), open_redis_bus(redis_url)
    heard = heard_by(there)
    eventually(lambda: reaches(here, heard))
    client = redis.Redis.from_url(redis_url)
    for sent in (b"\xff", b"[]", b'{"from": "x", "looks": 5}', b'{"from": 1}', b"null"):
        client.publish(CHANNEL, sent)
    client.close()
    assert reaches(here, heard)


def test_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a Redis is named and its client isn't installed, the start says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "maimconfig.realtime.redis_bus")
    with pytest.raises(StartError, match=r"pip install 'maimconfig\[redis\]'"):
        open_bus("redis://127.0.0.1/0")


def test_choice() -> None:
    """Without an address there is no Redis."""
    assert type(open_bus(None)) is MemoryBus
