"""What belongs to one request: its id, its caller, its language, its line in the log."""

from __future__ import annotations

import ipaddress
import random
import re
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from maimconfig import tracing
from maimconfig.db.session import Actor, Session
from maimconfig.http.application import BodyRequest
from maimconfig.http.errors import RETRY_SECONDS, TokenInvalid
from maimconfig.i18n import Locale
from maimconfig.metrics import recording
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
        request: as Flask has it; its proxy of the same name is asked ten times slower.
        environ: of WSGI.
        request_id: `req_` and 16 of [0-9a-f], or the caller's own X-Request-ID.
        tenant_id: whose request this is, as far as known.
        headers: for the answer, whatever it is.
        login: who is asking, where an access token is needed.
        caller: who is asking, where the view itself finds it out: the id of a user, a key or a
            session, or `guest:` and an address.
        prepared: what was made before the unit of work began.
        session: of the unit of work that the view runs in.
        varies: the headers that the answer depends on.
    """

    __slots__ = (
        "_started",
        "caller",
        "environ",
        "headers",
        "login",
        "plane",
        "prepared",
        "request",
        "request_id",
        "runtime",
        "session",
        "tenant_id",
        "varies",
    )

    session: Session
    prepared: Any

    def __init__(self, runtime: Runtime, plane: str, request: BodyRequest) -> None:
        self._started = time.perf_counter()
        self.runtime = runtime
        self.plane = plane
        self.request = request
        self.environ: WSGIEnvironment = request.environ
        inbound_id: str | None = self.environ.get("HTTP_X_REQUEST_ID")
        if inbound_id is None or not _INBOUND_ID.match(inbound_id):
            inbound_id = f"req_{random.getrandbits(64):016x}"
        self.request_id = inbound_id
        self.tenant_id: str | None = None
        self.login: Login | None = None
        self.caller: str | None = None
        self.headers = {"X-Request-ID": self.request_id}
        self.varies: set[str] = set()

    @property
    def execution_time(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._started


def init_context(app: Flask, runtime: Runtime, plane: str) -> None:
    """Give each request of `app` a context, and a line in the log."""

    def begin() -> None:
        runtime.background.ensure()
        _current.set(Context(runtime, plane, request._get_current_object()))  # type: ignore[attr-defined]
        tracing.begin(request.environ)

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
    """The caller's language, which the answer then depends on; see `preferred_locale`."""
    context = current()
    context.varies.add("Accept-Language")
    return preferred_locale(context.environ.get("HTTP_ACCEPT_LANGUAGE"))


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
    for name, value in context.headers.items():
        response.headers[name] = value
    if context.varies:
        response.headers["Vary"] = ", ".join(sorted(context.varies))
    asked = context.request
    seconds = context.execution_time
    route = asked.url_rule.rule if asked.url_rule else None
    status = response.status_code
    if status in (204, 308):  # a redirect of werkzeug's is a page
        response.set_data(b"")
        del response.headers["Content-Type"]
    if status == 503:
        response.headers.setdefault("Retry-After", RETRY_SECONDS)
    recording.request(context.plane, route, asked.method, status, seconds)
    access_log.info(
        "request",
        request_id=context.request_id,
        method=asked.method,
        route=route,
        path=asked.path,
        status=status,
        duration_ms=round(seconds * 1000, 2),
        plane=context.plane,
        tenant_id=context.tenant_id,
        **tracing.fields(),
    )
    settings = context.runtime.settings
    if settings.slow_request_ms and seconds * 1000 >= settings.slow_request_ms:
        _note_slow(context, asked.method, route, seconds)
    if settings.metrics_tenants and context.tenant_id:
        recording.tenant(context.tenant_id, settings.metrics_tenants)
    return response


def _note_slow(context: Context, method: str, route: str | None, seconds: float) -> None:
    access_log.warning(
        "request.slow",
        request_id=context.request_id,
        method=method,
        route=route,
        duration_ms=round(seconds * 1000, 2),
        plane=context.plane,
    )
