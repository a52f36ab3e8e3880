"""What browsers are told: security headers on every answer, CORS for the listed origins alone."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, Response, request

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
    "X-Total-Count"
)


def init_browser_headers(app: Flask, origins: Collection[str]) -> None:
    """Send security headers always, and CORS headers to pages of the given origins.

    Tokens are sent in headers, never in cookies, so no answer allows credentials.
    """

    def finish(response: Response) -> Response:
        response.headers.update(HEADERS)
        if response.mimetype == "text/html":
            response.headers["Content-Security-Policy"] = PAGE_POLICY
        if origins:
            response.vary.add("Origin")
            _allow(response, origins)
        return response

    app.after_request(finish)


def _allow(response: Response, origins: Collection[str]) -> None:
    origin = request.headers.get("Origin")
    if origin not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    if request.method == "OPTIONS":
        response.headers.update(_ALLOWED)
