"""Flask, set up for this API and relieved of what it does for others at each request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter
from werkzeug.utils import cached_property

from maimconfig.http.json import OrjsonProvider
from maimconfig.http.paths import IdConverter

# Hosts that are remembered: callers may make up any number of them.
_MAX_PLACES = 64


class BodyRequest(Request):
    """A request that reads its body in one go."""

    @cached_property
    def body(self) -> bytes:
        """The whole body; werkzeug's stream with a limit costs more than parsing what it reads.

        Raises:
            RequestEntityTooLarge: it is over the app's limit.
        """
        length, limit = self.environ.get("CONTENT_LENGTH") or "", self.max_content_length
        if not (length.isascii() and length.isdigit()) or "HTTP_TRANSFER_ENCODING" in self.environ:
            return self.get_data()
        if limit is None or int(length) > limit:
            return self.get_data()
        body: bytes = self.environ["wsgi.input"].read(int(length))
        return body


class _NoSession(SessionInterface):
    """Callers show a token or a key each time; nothing is kept between their requests."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """The one empty session."""
        return self._none


class Application(Flask):
    """Strict JSON, ids in paths, paths with and without a trailing slash, no static files."""

    json_provider_class = OrjsonProvider
    request_class = BodyRequest
    session_interface = _NoSession()

    def __init__(self, *, max_body_bytes: int) -> None:
        super().__init__("maimconfig", static_folder=None)
        self.url_map.strict_slashes = False
        self.url_map.converters["id"] = IdConverter
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes
        self._places: dict[tuple[Any, ...], MapAdapter] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: no view here is a coroutine, and asking costs each request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """What finds a request's view; what depends on the host alone is worked out once."""
        if request is None:
            return None
        environ = request.environ
        place = tuple(map(environ.get, _PLACE))
        known = self._places.get(place)
        if known is None:
            known = cast(MapAdapter, super().create_url_adapter(request))
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            self._places[place] = known
        return MapAdapter(
            known.map,
            known.server_name,
            known.script_name,
            known.subdomain,
            known.url_scheme,
            request.path,
            request.method,
            request.query_string.decode("utf-8", "replace"),
        )

    def register_blueprint(self, blueprint: Any, **options: Any) -> None:
        """Mount a blueprint; one with hooks of its own is refused, for they would not be called."""
        super().register_blueprint(blueprint, **options)
        hooks = (
            self.before_request_funcs, self.after_request_funcs, self.teardown_request_funcs,
            self.url_value_preprocessors,
        )  # fmt: skip
        if any(name is not None for functions in hooks for name in functions):
            raise AssertionError(f"{blueprint.name} has hooks of its own")

    def preprocess_request(self) -> Any:
        """Call what is to be called before a view."""
        for function in self.before_request_funcs[None]:
            answer = function()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call what is to be called after a view."""
        for function in reversed(self.after_request_funcs[None]):
            response = function(response)
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Call what is to be called at the very end."""
        for function in self.teardown_request_funcs[None]:
            function(exc)


# What names the place that a request came to.
_PLACE = (
    "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "wsgi.url_scheme",
    "HTTP_CONNECTION", "HTTP_UPGRADE",
)  # fmt: skip
