"""What browsers are told: security headers on every answer, CORS for the listed origins alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from maimconfig.http.context import current

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# OWASP's list for APIs. The documentation pages need their own styles and ReDoc's worker.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src 'self' blob:; frame-ancestors 'none'"
)

_HTML = ("Content-Type", "text/html; charset=utf-8")
# For what pages of any origin may load.
READABLE_BY_ALL = ("Cross-Origin-Resource-Policy", "cross-origin")

_ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Accept-Language, Idempotency-Key, If-Match, If-None-Match, "
        "X-Request-ID, X-API-Key"
    ),
    "Access-Control-Max-Age": "600",
}
_EXPOSED = (
    "ETag, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, X-Request-ID, "
    "X-Total-Count, Idempotency-Replayed"
)


def init_browser_headers(app: Flask, origins: Collection[str]) -> None:
    """Send security headers always, and CORS headers to pages of the given origins.

    Tokens are sent in headers, never in cookies, so no answer allows credentials.
    """
    app.wsgi_app = _secured(app.wsgi_app)  # type: ignore[assignment, method-assign]
    if origins:

        def finish(response: Response) -> Response:
            current().varies.add("Origin")
            _allow(response, origins)
            return response

        app.after_request(finish)


def _secured(app: WSGIApplication) -> WSGIApplication:
    """Add the headers below Flask, where that costs a tenth.

    What an answer says for itself is left: that it may be read elsewhere, a policy of its own.
    """
    for_api = [*HEADERS.items()]
    for_pages = [*(HEADERS | {"Content-Security-Policy": PAGE_POLICY}).items()]

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            added = for_pages if _HTML in headers else for_api
            own = {name for name, _ in headers}
            added = [header for header in added if header[0] not in own]
            return start_response(status, [*headers, *added], *error)

        return app(environ, start)

    return call


def _allow(response: Response, origins: Collection[str]) -> None:
    origin = request.headers.get("Origin")
    if origin not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers.update([READABLE_BY_ALL])
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response.headers.update(_ALLOWED)
