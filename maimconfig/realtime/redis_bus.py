"""Events among processes, over Redis; what is lost there is found by the next look."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import orjson
import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from maimconfig.events import Event, Look, Passing
from maimconfig.realtime.bus import Listener, MemoryBus

log = structlog.get_logger(__name__)

CHANNEL = "maimconfig:events"
TIMEOUT = 0.2  # s for each call; the client's own default may block for seconds
PAUSE = 1.0  # s in which a Redis that didn't answer isn't asked again
PASSING = 1000  # the most that wait to be sent; then the oldest are lost
LOOKS = 10_000
HEALTH_CHECK = 5  # s of silence after which the subscriber asks whether Redis is there
TURN = 0.5  # s: the subscriber looks this often whether it shall end


class RedisBus(MemoryBus):
    """Tells the listeners of this process at once, and those of others by way of Redis.

    Publishing never waits for Redis: a thread of its own sends what has gathered. Threads start
    with the first event and the first listener, so that the process may fork before.
    """

    def __init__(self, url: str) -> None:
        """Know the address; nothing is connected, and Redis may be away.

        Args:
            url: redis://, rediss:// or unix://.
        """
        super().__init__()
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            health_check_interval=HEALTH_CHECK,
            retry=Retry(NoBackoff(), 0),
        )
        self._name = uuid.uuid4().hex
        self._waiting = threading.Condition()
        self._looks: dict[str, None] = {}
        self._passing: deque[Passing] = deque(maxlen=PASSING)
        self._stop = threading.Event()
        self._threads: dict[str, tuple[int, threading.Thread]] = {}

    def publish(self, event: Event) -> None:
        """Tell an event; returns at once and never raises."""
        super().publish(event)
        with self._waiting:
            if isinstance(event, Passing):
                self._passing.append(event)
            elif len(self._looks) < LOOKS:
                self._looks[event.conversation_id] = None
            self._ensure("publisher", self._publish_gathered)
            self._waiting.notify()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See MemoryBus; events of other processes come in the subscriber's thread."""
        unsubscribe = super().subscribe(listener)
        with self._waiting:
            self._ensure("subscriber", self._subscribe)
        return unsubscribe

    def close(self) -> None:
        """End the threads; what has not been sent is lost."""
        with self._waiting:
            self._stop.set()
            self._waiting.notify_all()
            threads = [thread for pid, thread in self._threads.values() if pid == os.getpid()]
        for thread in threads:
            thread.join()
        self._client.close()

    def _ensure(self, name: str, run: Callable[[], None]) -> None:
        if self._threads.get(name, (0, None))[0] != os.getpid() and not self._stop.is_set():
            thread = threading.Thread(target=run, name=f"bus-{name}", daemon=True)
            self._threads[name] = (os.getpid(), thread)
            thread.start()

    def _publish_gathered(self) -> None:
        link = _Link("publisher")
        while (gathered := self._gather()) is not None:
            if link.is_open():
                with link:
                    self._client.publish(CHANNEL, gathered)
                    link.works()

    def _gather(self) -> bytes | None:
        with self._waiting:
            while not (self._looks or self._passing or self._stop.is_set()):
                self._waiting.wait()
            if self._stop.is_set():
                return None
            looks, passing = list(self._looks), list(self._passing)
            self._looks.clear()
            self._passing.clear()
        return orjson.dumps({"from": self._name, "looks": looks, "passing": passing})

    def _subscribe(self) -> None:
        link = _Link("subscriber")
        while not self._stop.is_set():
            with link, self._channel() as channel:
                channel.subscribe(CHANNEL)
                link.works()
                self._listen(channel)
            self._stop.wait(PAUSE)

    def _channel(self) -> Any:
        return self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def _listen(self, channel: Any) -> None:
        """Hear others until the bus is closed or Redis is lost."""
        while not self._stop.is_set():
            message = channel.get_message(timeout=TURN)
            if message is not None:
                self._hear(message["data"])

    def _hear(self, sent: bytes) -> None:
        try:
            events = _events(orjson.loads(sent), self._name)
        except (ValueError, TypeError, KeyError):
            log.warning("bus.not_understood", sent=sent[:100])
            return
        for event in events:
            super().publish(event)


class _Link:
    """One of the two connections; entered, it takes it from the caller when Redis is lost."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lost = False
        self._again = 0.0

    def __enter__(self) -> _Link:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, (redis.RedisError, OSError)):
            return False
        self._again = time.monotonic() + PAUSE
        if not self._lost:
            log.warning("bus.redis_lost", link=self._name, reason=str(error)[:200])
        self._lost = True
        return True

    def is_open(self) -> bool:
        """Whether it may be tried: not for a while after a failure."""
        return time.monotonic() >= self._again

    def works(self) -> None:
        """Redis has answered."""
        if self._lost:
            log.info("bus.redis_back", link=self._name)
        self._lost = False


def _events(sent: Any, own_name: str) -> list[Event]:
    if sent["from"] == own_name:
        return []
    looks: list[Event] = [Look(str(conversation_id)) for conversation_id in sent["looks"]]
    return looks + [
        Passing(
            str(one["conversation_id"]), one["kind"], dict(one["data"]), bool(one["staff_only"])
        )
        for one in sent["passing"]
    ]
