"""What one process has learnt of its endpoints: their breakers and their keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import structlog

from maimconfig import clock
from maimconfig.providers.breaker import REST_SECONDS, Breaker, Permit, State
from maimconfig.providers.keys import KeyRing
from maimconfig.providers.types import Endpoint

log = structlog.get_logger(__name__)

MAX_ENDPOINTS = 10_000

_Place: TypeAlias = "tuple[str, str, str]"


class Board:
    """Breakers and key rings by endpoint; read by any thread, written by the providers' loop.

    An endpoint is (scope, name, address): two agents of a tenant may use one name for two
    addresses, and no tenant's troubles are another's.
    """

    def __init__(
        self,
        rest_seconds: float = REST_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._rest = rest_seconds
        self._breakers: dict[_Place, Breaker] = {}
        self._rings: dict[_Place, KeyRing] = {}
        self._lock = threading.Lock()

    def admit(self, endpoint: Endpoint) -> Permit | None:
        """A permit for a request to an endpoint; None while it is left out."""
        with self._lock:
            return self._breaker(endpoint).admit(self.now())

    def record(self, endpoint: Endpoint, permit: Permit, failed: bool | None) -> None:
        """Take in how a permitted request went; None when that is unknown."""
        with self._lock:
            opened = self._breaker(endpoint).record(permit, failed, self.now())
        if opened:
            log.warning("provider.left_out", provider=endpoint.name, scope=endpoint.scope)

    def keys(self, endpoint: Endpoint) -> KeyRing:
        """What is known of an endpoint's keys."""
        place = _place(endpoint)
        if place not in self._rings and len(self._rings) >= MAX_ENDPOINTS:
            self._rings.clear()
        return self._rings.setdefault(place, KeyRing())

    def shown(self) -> list[dict[str, Any]]:
        """The endpoints of which there is something to tell, without their addresses."""
        now, moment = self.now(), clock.now()
        with self._lock:
            known = [(*place[:2], b) for place, b in self._breakers.items() if not b.is_idle(now)]
            return [_shown(scope, name, breaker, now, moment) for scope, name, breaker in known]

    def _breaker(self, endpoint: Endpoint) -> Breaker:
        place = _place(endpoint)
        if place not in self._breakers:
            if len(self._breakers) >= MAX_ENDPOINTS:
                self._forget_idle()
            self._breakers[place] = Breaker(self._rest)
        return self._breakers[place]

    def _forget_idle(self) -> None:
        now = self.now()
        busy = {place: b for place, b in self._breakers.items() if not b.is_idle(now)}
        # When all are busy, the oldest half goes: memory is bounded whatever tenants do.
        self._breakers = dict(list(busy.items())[-MAX_ENDPOINTS // 2 :])


def _place(endpoint: Endpoint) -> _Place:
    return endpoint.scope, endpoint.name, endpoint.base_url


def _shown(scope: str, name: str, breaker: Breaker, now: float, moment: Any) -> dict[str, Any]:
    left = breaker.open_seconds(now)
    state: State = breaker.state(now)
    return {
        "scope": scope,
        "name": name,
        "state": state.value,
        "recent_failures": breaker.recent_failures(now),
        "open_until": None if left is None else clock.wire(moment + timedelta(seconds=left)),
    }
