"""The numbers of several processes as one; pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from maimconfig.metrics.definitions import TENANT_REQUESTS
from maimconfig.metrics.instruments import (
    INSTRUMENTS,
    Across,
    Gauge,
    Histogram,
    Instrument,
    Series,
    Snapshot,
)

_JOIN: Mapping[Across, Callable[[Iterable[float]], float]] = {
    "sum": sum,
    "max": max,
    "oldest": min,
}


def merged(living: Sequence[Snapshot], ended: Iterable[Snapshot], tenants: int) -> Snapshot:
    """What all processes counted, and what is so in those that live.

    Args:
        living: of processes that run.
        ended: of others, whose counts still count.
        tenants: how many have series of their own.
    """
    found: Snapshot = {}
    for instrument in INSTRUMENTS:
        sources = living if isinstance(instrument, Gauge) else [*ended, *living]
        name = instrument.name
        found[name] = _one(instrument, [source.get(name, {}) for source in sources])
    found[TENANT_REQUESTS.name] = _capped(found[TENANT_REQUESTS.name], tenants)
    return found


def _one(instrument: Instrument, parts: Sequence[Series]) -> Series:
    found: Series = {}
    for part in parts:
        for key, values in part.items():
            if _fits(instrument, key, values):
                before = found.get(key)
                found[key] = values if before is None else _both(instrument, before, values)
    return found


def _fits(instrument: Instrument, key: Sequence[str], values: Sequence[float]) -> bool:
    """Whether it is of this version: in a folder that stays, another may have left its numbers."""
    length = len(instrument.bounds) + 2 if isinstance(instrument, Histogram) else 1
    return len(key) == len(instrument.labels) and len(values) == length


def _both(instrument: Instrument, one: list[float], other: list[float]) -> list[float]:
    across = instrument.across if isinstance(instrument, Gauge) else "sum"
    join = _JOIN[across]
    return [join(pair) for pair in zip(one, other, strict=True)]


def _capped(series: Series, cap: int) -> Series:
    """So many tenants at most, the eldest first (ids are time-ordered); the others as one."""
    own = sorted(key for key in series if key != ("other",))[:cap]
    rest = [values[0] for key, values in series.items() if key not in own]
    found = {key: series[key] for key in own}
    return found | ({("other",): [sum(rest)]} if rest else {})


def age(moment: float) -> float:
    """Seconds since a time.time()."""
    return max(0.0, time.time() - moment)
