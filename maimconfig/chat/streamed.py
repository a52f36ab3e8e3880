"""The HTTP answer that is a stream of events."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request

from maimconfig.chat.event_stream import HEADERS, Dialect, EventStream
from maimconfig.chat.running import RunningReply


def streamed(reply: RunningReply, dialect: Dialect, on_close: Callable[[], None]) -> Response:
    """The reply as events; from here on the stream settles it, and calls `on_close` at its end."""
    left = request.environ.get("waitress.client_disconnected", lambda: False)
    stream = EventStream(reply, dialect, left=left, on_close=on_close)
    return Response(stream, mimetype="text/event-stream", headers=HEADERS)
