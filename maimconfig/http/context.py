"""What belongs to one request: its id, its caller, its language, its line in the log."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Sequence

import structlog
from flask import Flask, Response, current_app, g, request

from maimconfig.db.session import Actor, Session
from maimconfig.i18n import Locale
from maimconfig.runtime import Runtime
from maimconfig.setting_types import Network

access_log = structlog.get_logger("maimconfig.access")

_INBOUND_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")


def init_context(app: Flask, runtime: Runtime, plane: str) -> None:
    """Give each request of `app` an id and a line in the log."""
    app.extensions["maimconfig"] = runtime
    app.extensions["maimconfig.plane"] = plane
    app.before_request(_begin)
    app.after_request(_finish)


def runtime() -> Runtime:
    """The running service."""
    found: Runtime = current_app.extensions["maimconfig"]
    return found


def session() -> Session:
    """The session of the unit of work that the current view runs in."""
    found: Session = g.session
    return found


def request_id() -> str:
    """`req_` and 16 of [0-9a-f], or the caller's own X-Request-ID."""
    found: str = g.request_id
    return found


def execution_time() -> float:
    """Seconds since the request began."""
    started: float = g.started
    return time.perf_counter() - started


def locale() -> Locale:
    """The caller's language: Chinese unless English is preferred by Accept-Language."""
    header = request.headers.get("Accept-Language")
    if not header:
        return "zh"
    return "en" if request.accept_languages.best_match(["zh", "en"], "zh") == "en" else "zh"


def note_tenant(tenant_id: str | None) -> None:
    """Remember whose request this is, for the envelope and the log."""
    g.tenant_id = tenant_id


def actor(name: str = "internal") -> Actor:
    """Who acts, for the audit log."""
    return Actor(name=name, address=client_address(), request_id=request_id())


def client_address() -> str:
    """The caller's address: the peer's, or what trusted proxies say in X-Forwarded-For."""
    peer = request.environ.get("REMOTE_ADDR") or "127.0.0.1"
    forwarded = request.headers.get("X-Forwarded-For")
    trusted = runtime().settings.trusted_proxies
    if not (forwarded and trusted):
        return peer
    return rightmost_untrusted([*forwarded.split(","), peer], trusted)


def rightmost_untrusted(chain: Sequence[str], trusted: Sequence[Network]) -> str:
    """The last address of a forwarding chain that no trusted proxy vouches beyond.

    Args:
        chain: addresses, the origin's first, the peer's last.
        trusted: networks of proxies whose word counts.
    """
    address = chain[-1].strip()
    for hop in reversed(chain):
        try:
            parsed = ipaddress.ip_address(hop.strip())
        except ValueError:
            return address
        address = str(parsed)
        if not any(parsed in network for network in trusted):
            return address
    return address


def _begin() -> None:
    runtime().background.ensure()
    g.started = time.perf_counter()
    inbound = request.environ.get("HTTP_X_REQUEST_ID")
    keep = inbound is not None and _INBOUND_ID.match(inbound)
    g.request_id = inbound if keep else f"req_{secrets.token_hex(8)}"


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    rule = request.url_rule
    access_log.info(
        "request",
        request_id=g.request_id,
        method=request.method,
        route=rule.rule if rule else None,
        path=request.path,
        status=response.status_code,
        duration_ms=round(execution_time() * 1000, 2),
        plane=current_app.extensions["maimconfig.plane"],
        tenant_id=g.get("tenant_id"),
    )
    return response
