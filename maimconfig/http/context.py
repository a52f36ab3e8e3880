"""What belongs to one request: its id, its caller, its language, its line in the log."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Request, Response, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from maimconfig.db.session import Actor, Session
from maimconfig.http.errors import TokenInvalid
from maimconfig.i18n import Locale
from maimconfig.runtime import Runtime
from maimconfig.setting_types import Network
from maimconfig.users.login import Login

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

access_log = structlog.get_logger("maimconfig.access")

_INBOUND_ID = re.compile(r"[A-Za-z0-9_-]{8,64}\Z")


# Ten times quicker than flask.g, and asked for ten times in a request. The next request of a
# thread takes the place of the last one.
_current: ContextVar[Context] = ContextVar("request")


class Context:
    """One request.

    Attributes:
        runtime: the running service.
        plane: that the request came to.
        environ: of WSGI.
        request_id: `req_` and 16 of [0-9a-f], or the caller's own X-Request-ID.
        tenant_id: whose request this is, as far as known.
        headers: for the answer, whatever it is.
        login: who is asking, where an access token is needed.
        caller: who is asking, where the view itself finds it out: the id of a user, a key or a
            session, or `guest:` and an address.
        prepared: what was made before the unit of work began.
        session: of the unit of work that the view runs in.
    """

    __slots__ = (
        "_started",
        "caller",
        "environ",
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

    def __init__(self, runtime: Runtime, plane: str, environ: WSGIEnvironment) -> None:
        self._started = time.perf_counter()
        self.runtime = runtime
        self.plane = plane
        self.environ = environ
        inbound_id: str | None = environ.get("HTTP_X_REQUEST_ID")
        if inbound_id is None or not _INBOUND_ID.match(inbound_id):
            inbound_id = f"req_{secrets.token_hex(8)}"
        self.request_id = inbound_id
        self.tenant_id: str | None = None
        self.login: Login | None = None
        self.caller: str | None = None
        self.headers = {"X-Request-ID": self.request_id}

    @property
    def execution_time(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._started


def init_context(app: Flask, runtime: Runtime, plane: str) -> None:
    """Give each request of `app` a context, and a line in the log."""

    def begin() -> None:
        runtime.background.ensure()
        _current.set(Context(runtime, plane, request.environ))

    app.before_request(begin)
    app.after_request(_finish)


def current() -> Context:
    """The request that this thread works on."""
    return _current.get()


def runtime() -> Runtime:
    """The running service."""
    return current().runtime


def session() -> Session:
    """The session of the unit of work that the current view runs in."""
    return current().session


def locale() -> Locale:
    """The caller's language; see `preferred_locale`."""
    return preferred_locale(current().environ.get("HTTP_ACCEPT_LANGUAGE"))


def preferred_locale(accept_language: str | None) -> Locale:
    """Chinese, unless English is preferred by Accept-Language."""
    if not accept_language:
        return "zh"
    for language, quality in parse_accept_header(accept_language, LanguageAccept):
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
    """Who acts, for the audit log and Idempotency-Keys: a user's id or another proven one,
    `internal`, or `anonymous` on the public plane."""
    context = current()
    outsider = "internal" if context.plane == "internal" else "anonymous"
    name = context.login.user_id if context.login else context.caller or outsider
    return Actor(name=name, address=client_address(), request_id=context.request_id)


def client_address() -> str:
    """The caller's address: the peer's, or what trusted proxies say in X-Forwarded-For."""
    context = current()
    environ = context.environ
    peer: str = environ.get("REMOTE_ADDR") or "127.0.0.1"
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    trusted = context.runtime.settings.trusted_proxies
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
