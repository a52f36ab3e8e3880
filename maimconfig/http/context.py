"""What belongs to one request: its id, its caller, its language, its line in the log."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

import structlog
from flask import Flask, Request, Response, g, request

from maimconfig.db.session import Actor, Session
from maimconfig.http.errors import TokenInvalid
from maimconfig.i18n import Locale
from maimconfig.runtime import Runtime
from maimconfig.setting_types import Network
from maimconfig.users.login import Login

access_log = structlog.get_logger("maimconfig.access")

_INBOUND_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")


class Context:
    """One request.

    Attributes:
        runtime: the running service.
        plane: that the request came to.
        request_id: `req_` and 16 of [0-9a-f], or the caller's own X-Request-ID.
        tenant_id: whose request this is, as far as known.
        headers: for the answer, whatever it is.
        login: who is asking, where an access token is needed.
        prepared: what was made before the unit of work began.
        session: of the unit of work that the view runs in.
    """

    __slots__ = (
        "_started",
        "headers",
        "login",
        "plane",
        "prepared",
        "request_id",
        "runtime",
        "session",
        "tenant_id",
    )

    session: Session
    prepared: Any

    def __init__(self, runtime: Runtime, plane: str, inbound_id: str | None) -> None:
        self._started = time.perf_counter()
        self.runtime = runtime
        self.plane = plane
        keep = inbound_id is not None and _INBOUND_ID.match(inbound_id)
        self.request_id = inbound_id if keep else f"req_{secrets.token_hex(8)}"
        self.tenant_id: str | None = None
        self.login: Login | None = None
        self.headers = {"X-Request-ID": self.request_id}

    @property
    def execution_time(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._started


def init_context(app: Flask, runtime: Runtime, plane: str) -> None:
    """Give each request of `app` a context, and a line in the log."""

    def begin() -> None:
        runtime.background.ensure()
        g.context = Context(runtime, plane, request.environ.get("HTTP_X_REQUEST_ID"))

    app.before_request(begin)
    app.after_request(_finish)


def current() -> Context:
    """The request that this thread works on."""
    found: Context = g.context
    return found


def runtime() -> Runtime:
    """The running service."""
    return current().runtime


def session() -> Session:
    """The session of the unit of work that the current view runs in."""
    return current().session


def locale() -> Locale:
    """The caller's language: Chinese unless English is preferred by Accept-Language."""
    if not request.environ.get("HTTP_ACCEPT_LANGUAGE"):
        return "zh"
    for language, quality in request.accept_languages:
        primary = language[:2].lower()
        if quality and primary in ("zh", "en") and not language[2:3].isalpha():
            return "en" if primary == "en" else "zh"
    return "zh"


def note_tenant(tenant_id: str | None) -> None:
    """Remember whose request this is, for the envelope and the log."""
    current().tenant_id = tenant_id


def note_login(login: Login) -> None:
    """Remember who is asking."""
    current().login = login


def login() -> Login:
    """Who is asking; for views that planes.py gives to logged-in users alone."""
    found = current().login
    if found is None:
        raise TokenInvalid(internal="a view that needs a login was reached without one")
    return found


def actor() -> Actor:
    """Who acts, for the audit log: a user's id, `internal`, or `anonymous` on the public plane."""
    context = current()
    outsider = "internal" if context.plane == "internal" else "anonymous"
    name = context.login.user_id if context.login else outsider
    return Actor(name=name, address=client_address(), request_id=context.request_id)


def client_address() -> str:
    """The caller's address: the peer's, or what trusted proxies say in X-Forwarded-For."""
    environ = request.environ
    peer: str = environ.get("REMOTE_ADDR") or "127.0.0.1"
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
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
            # Without its zone, which may be any text.
            parsed = ipaddress.ip_address(hop.strip().partition("%")[0])
        except ValueError:
            return address
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        address = str(parsed)
        if not any(parsed in network for network in trusted):
            return address
    return address


def _finish(response: Response) -> Response:
    context = current()
    response.headers.update(context.headers)
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    access_log.info(
        "request",
        request_id=context.request_id,
        method=asked.method,
        route=asked.url_rule.rule if asked.url_rule else None,
        path=asked.path,
        status=response.status_code,
        duration_ms=round(context.execution_time * 1000, 2),
        plane=context.plane,
        tenant_id=context.tenant_id,
    )
    return response
