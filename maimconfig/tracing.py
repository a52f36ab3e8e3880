"""W3C Trace Context: a caller's trace is logged and goes on to the AI providers.

Whoever sends no `traceparent` gets no trace: nothing here would ever read one. (https://www.w3.org/
TR/trace-context/, version 00.)
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z"
)
_MAX_STATE = 512  # characters that must be passed on (3.3.1.5)


class Trace(NamedTuple):
    """The trace that a request belongs to.

    Attributes:
        trace_id: of the whole.
        span_id: of this service's part, made here.
        flags: the caller's, as two hexadecimal digits.
        state: tracestate, passed on as it came.
    """

    trace_id: str
    span_id: str
    flags: str
    state: str


# The loop of the providers gets a copy with each reply that is handed over to it.
_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def begin(environ: Mapping[str, Any]) -> None:
    """Take up a request's trace, or end that of the thread's last request."""
    traceparent = environ.get("HTTP_TRACEPARENT")
    if traceparent is not None or _current.get() is not None:
        _current.set(_parsed(traceparent or "", environ.get("HTTP_TRACESTATE", "")))


def current() -> Trace | None:
    """The trace of the request that this thread, or this task, works for."""
    return _current.get()


def carry_on(trace: Trace | None) -> None:
    """Work for a trace from here on; for threads that help with a request."""
    _current.set(trace)


def fields() -> dict[str, str]:
    """What a line in the log says of the trace."""
    trace = _current.get()
    return {"trace_id": trace.trace_id, "span_id": trace.span_id} if trace else {}


def headers() -> dict[str, str]:
    """What a request to another service says of the trace."""
    trace = _current.get()
    if trace is None:
        return {}
    found = {"traceparent": f"00-{trace.trace_id}-{trace.span_id}-{trace.flags}"}
    return found | ({"tracestate": trace.state} if trace.state else {})


def _parsed(traceparent: str, state: str) -> Trace | None:
    found = _TRACEPARENT.match(traceparent.strip())
    # A later version may say more; version 00 may not.
    if found is None or (found[4] and traceparent.startswith("00")):
        return None
    is_sound = len(state) <= _MAX_STATE and state.isascii() and state.isprintable()
    return Trace(found[1], secrets.token_hex(8), found[3], state if is_sound else "")
