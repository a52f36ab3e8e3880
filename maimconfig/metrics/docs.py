"""docs/metrics.md, from the definitions: `python -m maimconfig.metrics.docs > docs/metrics.md`."""

from __future__ import annotations

import sys

from maimconfig.metrics import definitions  # noqa: F401  (makes them)
from maimconfig.metrics.instruments import INSTRUMENTS, Counter, Gauge, Histogram, Instrument

_HEAD = """\
# Metrics

`GET /metrics` on the internal plane, for Prometheus, in its text format or OpenMetrics. With
`MAIMCONFIG_INTERNAL_TOKEN` set, Prometheus has to send it (`authorization: credentials:`). The
numbers are those of all workers of a `maimconfig serve`, or of all processes of a machine that
share a `MAIMCONFIG_METRICS_FOLDER`; counts of processes that ended go on counting. What the process
that is asked counted is there at once, what others counted within half a second, and a `kill -9`
loses at most that half second. No label tells of a user, a key or an agent; tenants have series of
their own only with `MAIMCONFIG_METRICS_TENANTS`.

This page is generated: `python -m maimconfig.metrics.docs > docs/metrics.md`.

| metric | kind | labels | meaning |
|---|---|---|---|
"""
_ACROSS = {"sum": "", "max": " Of several processes, the highest.", "oldest": ""}


def page() -> str:
    """The page in Markdown."""
    return _HEAD + "".join(_line(instrument) for instrument in INSTRUMENTS)


def sample_names(instrument: Instrument) -> list[str]:
    """What a metric's series are called on the page that Prometheus reads."""
    if isinstance(instrument, Histogram):
        return [f"{instrument.name}_{part}" for part in ("bucket", "sum", "count")]
    return [f"{instrument.name}_total" if isinstance(instrument, Counter) else instrument.name]


def _line(instrument: Instrument) -> str:
    name = instrument.name if isinstance(instrument, Histogram) else sample_names(instrument)[0]
    labels = ", ".join(f"`{label}`" for label in instrument.labels)
    across = _ACROSS[instrument.across] if isinstance(instrument, Gauge) else ""
    return f"| `{name}` | {instrument.kind} | {labels} | {instrument.help}{across} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
