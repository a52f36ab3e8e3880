"""Numbers of several processes become one."""

from __future__ import annotations

import pytest

from maimconfig.metrics import definitions as metrics
from maimconfig.metrics.instruments import INSTRUMENTS, Counter, Snapshot
from maimconfig.metrics.merging import merged

CHECKS, TENANTS = metrics.KEY_CHECKS.name, metrics.TENANT_REQUESTS.name


def one(name: str, *rows: tuple[tuple[str, ...], list[float]]) -> Snapshot:
    """The numbers of a process that has one metric."""
    return {name: dict(rows)}


def test_counters_add_up() -> None:
    """What processes counted adds up, those that ended included."""
    living = [one(CHECKS, (("valid",), [2])), one(CHECKS, (("valid",), [3]), (("expired",), [1]))]
    found = merged(living, [one(CHECKS, (("valid",), [10]))], 0)
    assert found[CHECKS] == {("valid",): [15], ("expired",): [1]}


def test_histograms_add_up() -> None:
    """Buckets add up one by one, and the sums."""
    name = metrics.WRITE_WAIT.name
    size = len(metrics.WRITE_WAIT.bounds) + 2
    first, second = [1.0] * size, [float(number) for number in range(size)]
    found = merged([one(name, ((), first))], [one(name, ((), second))], 0)
    assert found[name] == {(): [1.0 + number for number in range(size)]}


@pytest.mark.parametrize(
    ("gauge", "value"),
    [(metrics.QUEUED, 7), (metrics.REPLIES_OWED, 4), (metrics.FLUSH_AGE, 3)],
)
def test_gauges(gauge: metrics.Gauge, value: float) -> None:
    """Of gauges only those of living processes count: their sum, their highest, or the oldest."""
    key = ("internal",) if gauge.labels else ()
    living = [one(gauge.name, (key, [number])) for number in (3, 4)]
    assert merged(living, [one(gauge.name, (key, [1]))], 0)[gauge.name] == {key: [value]}


def test_tenants_are_capped() -> None:
    """However many processes name however many tenants, no more than the cap have series."""
    parts = [
        one(TENANTS, *(((f"tenant_{number}",), [1]) for number in range(start, start + 3)))
        for start in range(6)
    ]
    found = merged(parts, [one(TENANTS, (("other",), [5]))], 2)[TENANTS]
    assert found == {("tenant_0",): [1], ("tenant_1",): [2], ("other",): [20]}


def test_a_process_counts_few_tenants() -> None:
    """A process itself keeps no more series than the cap either."""
    counter = Counter("test_capped", "A test.", ("tenant",))
    INSTRUMENTS.remove(counter)
    for number in range(100):
        counter.add_capped(1, 3, f"tenant_{number % 10}")
    found = counter.snapshot()
    assert found == {**{(f"tenant_{n}",): [10] for n in range(3)}, ("other",): [70]}


def test_other_versions() -> None:
    """What a process of another version left is ignored where it doesn't fit."""
    odd = one(CHECKS, (("valid", "more"), [1]), (("valid",), [1, 2]))
    assert merged([odd, one("gone_since", ((), [1]))], [], 0)[CHECKS] == {}
