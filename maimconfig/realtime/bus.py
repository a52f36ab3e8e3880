"""How events reach those who listen."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from maimconfig.db.lifecycle import StartError
from maimconfig.events import Event

log = structlog.get_logger(__name__)

Listener = Callable[[Event], None]

# What several processes of a service with a gateway lack where they name no Redis.
MISSED = (
    "typing, read receipts and the pieces of answers reach only clients of the same process, and "
    "messages of another one come up to 2 s late"
)


class MemoryBus:
    """Tells the listeners of this process; safe for threads."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have a listener called for each event, in the thread that publishes it.

        Args:
            listener: must be quick and never wait.

        Returns:
            what ends it.
        """
        with self._changing:
            self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            with self._changing:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell an event; returns at once and never raises."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # somebody else's code must not cost the others their event
                log.exception("bus.listener_failed")

    def close(self) -> None:
        """Nothing is open."""


def open_bus(redis_url: str | None) -> MemoryBus:
    """The bus of a process: within it, or among all that name the same Redis.

    Raises:
        StartError: a Redis is named, and its client isn't installed.
    """
    if redis_url is None:
        return MemoryBus()
    try:
        from maimconfig.realtime.redis_bus import RedisBus
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise StartError(
            "MAIMCONFIG_REDIS_URL is set and the Redis client is missing: "
            "pip install 'maimconfig[redis]'."
        ) from error
    return RedisBus(redis_url)
