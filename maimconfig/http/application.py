"""Flask, set up for this API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from werkzeug.utils import cached_property

from maimconfig.http.json import OrjsonProvider
from maimconfig.http.paths import IdConverter


class BodyRequest(Request):
    """A request that reads its body in one go."""

    @cached_property
    def body(self) -> bytes:
        """The whole body; werkzeug's stream with a limit costs more than parsing what it reads.

        Raises:
            RequestEntityTooLarge: it is over the app's limit.
        """
        length, limit = self.content_length, self.max_content_length
        if length is None or limit is None or length > limit:
            return self.get_data()
        body: bytes = self.environ["wsgi.input"].read(length)
        return body


class Application(Flask):
    """Strict JSON, ids in paths, paths with and without a trailing slash, no static files."""

    json_provider_class = OrjsonProvider
    request_class = BodyRequest

    def __init__(self, *, max_body_bytes: int) -> None:
        super().__init__("maimconfig", static_folder=None)
        self.url_map.strict_slashes = False
        self.url_map.converters["id"] = IdConverter
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: no view here is a coroutine, and asking costs each request."""
        return func
