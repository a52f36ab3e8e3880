"""Counters, gauges and histograms of one process: quick to write, read only when published.

prometheus-client has these too, but an observation in its multi-process mode costs 5 us, here half
of one; and it would have to be loaded by every process, asked for metrics or not. It still writes
the page (exposition.py).
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

Key = tuple[Any, ...]
Series = dict[tuple[str, ...], list[float]]
Snapshot = dict[str, Series]
# How a gauge's values of several processes make one. `oldest` is for moments (time.time()): the
# page shows how long ago the oldest is.
Across = Literal["sum", "max", "oldest"]

INSTRUMENTS: list[Instrument] = []


class Instrument:
    """A metric and its values in this process, by labels.

    Attributes:
        kind: of Prometheus.
        name: as Prometheus has it, without a counter's `_total`.
        help: one sentence, units included.
        labels: their names.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self._values: dict[Key, list[float]] = {}
        self._lock = threading.Lock()
        INSTRUMENTS.append(self)

    def snapshot(self) -> Series:
        """A copy of all values."""
        with self._lock:
            return {tuple(map(str, key)): list(found) for key, found in self._values.items()}

    def forget(self) -> None:
        """Begin anew, as a process that was just forked does."""
        self._lock = threading.Lock()
        self._values = {}


class Counter(Instrument):
    """What only grows."""

    kind = "counter"

    def add(self, number: float, *labels: Any) -> None:
        """Count."""
        with self._lock:
            try:
                self._values[labels][0] += number
            except KeyError:
                self._values[labels] = [number]

    def add_capped(self, number: float, cap: int, *labels: Any) -> None:
        """Count under these labels, or as `other` when `cap` others have series already."""
        known = labels in self._values or len(self._values) < cap
        self.add(number, *(labels if known else ("other",) * len(labels)))


class Gauge(Instrument):
    """What is so now.

    Attributes:
        across: how several processes' values make one.
    """

    kind = "gauge"

    def __init__(
        self, name: str, help: str, labels: Sequence[str] = (), *, across: Across = "sum"
    ) -> None:
        super().__init__(name, help, labels)
        self.across = across

    def set(self, value: float, *labels: Any) -> None:
        """Replace the value."""
        with self._lock:
            self._values[labels] = [value]


class Histogram(Instrument):
    """How values are distributed, in seconds.

    Attributes:
        bounds: the upper ends of its buckets; beyond the last one is another.
    """

    kind = "histogram"

    def __init__(
        self, name: str, help: str, labels: Sequence[str] = (), *, bounds: Sequence[float]
    ) -> None:
        super().__init__(name, help, labels)
        self.bounds = tuple(bounds)

    def observe(self, value: float, *labels: Any) -> None:
        """Take in a value."""
        bucket = bisect_left(self.bounds, value)
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                # The buckets, the one beyond, and the sum.
                found = self._values[labels] = [0] * (len(self.bounds) + 1) + [0.0]
            found[bucket] += 1
            found[-1] += value


def snapshot() -> Snapshot:
    """All values of this process."""
    return {instrument.name: instrument.snapshot() for instrument in INSTRUMENTS}


def _forget_all() -> None:
    for instrument in INSTRUMENTS:
        instrument.forget()


# What a parent has counted is told by the parent.
os.register_at_fork(after_in_child=_forget_all)
