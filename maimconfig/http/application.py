"""Flask, set up for this API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from maimconfig.http.json import OrjsonProvider
from maimconfig.http.paths import IdConverter


class Application(Flask):
    """Strict JSON, ids in paths, paths with and without a trailing slash, no static files."""

    json_provider_class = OrjsonProvider

    def __init__(self, *, max_body_bytes: int) -> None:
        super().__init__("maimconfig", static_folder=None)
        self.url_map.strict_slashes = False
        self.url_map.converters["id"] = IdConverter
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: no view here is a coroutine, and asking costs each request."""
        return func
