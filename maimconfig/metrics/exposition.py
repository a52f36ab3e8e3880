"""Numbers as the page that Prometheus reads: text, or OpenMetrics where it asks for that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from maimconfig.metrics.instruments import (
    INSTRUMENTS,
    Counter,
    Gauge,
    Histogram,
    Instrument,
    Series,
    Snapshot,
)
from maimconfig.metrics.merging import age

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def page(numbers: Snapshot, accept: str) -> tuple[bytes, str]:
    """The page and its content type.

    Args:
        numbers: of all processes.
        accept: the header, which says what the reader understands.
    """
    # Not before somebody asks: it takes 1 MB.
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    return encode(_Numbers(numbers)), content_type


class _Numbers:
    """What prometheus-client takes for a registry."""

    def __init__(self, numbers: Snapshot) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Metric]:
        for instrument in INSTRUMENTS:
            series = self._numbers.get(instrument.name)
            if series:
                yield _family(instrument, series)


def _family(instrument: Instrument, series: Series) -> Metric:
    from prometheus_client import core

    if isinstance(instrument, Histogram):
        histogram = core.HistogramMetricFamily(
            instrument.name, instrument.help, labels=instrument.labels
        )
        for key, values in sorted(series.items()):
            histogram.add_metric(key, _buckets(instrument, values), values[-1])
        return histogram
    family = core.CounterMetricFamily if isinstance(instrument, Counter) else core.GaugeMetricFamily
    plain = family(instrument.name, instrument.help, labels=instrument.labels)
    for key, (value,) in sorted(series.items()):
        plain.add_metric(key, _shown(instrument, value))
    return plain


def _shown(instrument: Instrument, value: float) -> float:
    is_moment = isinstance(instrument, Gauge) and instrument.across == "oldest"
    return age(value) if is_moment else value


def _buckets(instrument: Histogram, values: list[float]) -> list[tuple[str, float]]:
    ends = [*map(str, map(float, instrument.bounds)), "+Inf"]
    return list(zip(ends, accumulate(values[:-1]), strict=True))
