"""W3C Trace Context: taken up, logged, passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from maimconfig import tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(autouse=True)
def _no_trace() -> Iterator[None]:
    yield
    tracing.begin({})


def test_passed_on() -> None:
    """What goes to others is in the same trace, with this service as its parent, and tracestate."""
    tracing.begin({"HTTP_TRACEPARENT": GOOD, "HTTP_TRACESTATE": "vendor=x,other=y"})
    found = tracing.headers()
    version, trace, parent, flags = found["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch("[0-9a-f]{16}", parent)
    assert parent != PARENT
    assert found["tracestate"] == "vendor=x,other=y"
    assert tracing.fields() == {"trace_id": TRACE, "span_id": parent}


def test_later_version() -> None:
    """Of a later version the known part counts."""
    tracing.begin({"HTTP_TRACEPARENT": f"01-{TRACE}-{PARENT}-00-more"})
    assert tracing.headers()["traceparent"].startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "bad",
    ["", "x", GOOD.upper(), GOOD + "-more", GOOD[:-1], f"ff{GOOD[2:]}",
     f"00-{'0' * 32}-{PARENT}-01",
     f"00-{TRACE}-{'0' * 16}-01", f"{GOOD}\n{GOOD}", "00-" + "a" * 100_000],
)  # fmt: skip
def test_refused(bad: str) -> None:
    """What the standard calls invalid begins no trace, and ends the thread's last one."""
    tracing.begin({"HTTP_TRACEPARENT": GOOD})
    tracing.begin({"HTTP_TRACEPARENT": bad})
    assert (tracing.current(), tracing.headers(), tracing.fields()) == (None, {}, {})


@pytest.mark.parametrize("state", ["x" * 513, "a=\r\nInjected: 1", "a=é"])
def test_bad_state(state: str) -> None:
    """A tracestate that no header may hold, or that is too long, is left out."""
    tracing.begin({"HTTP_TRACEPARENT": GOOD, "HTTP_TRACESTATE": state})
    assert set(tracing.headers()) == {"traceparent"}
