"""What is reached over the network: Redis, AI providers, and the service through its proxy."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from maimconfig.db.session import Database
from maimconfig.doctor.finding import Finding, error, ok, warning
from maimconfig.rate_limits.models import RateWindow
from maimconfig.realtime.bus import MISSED
from maimconfig.settings import Settings
from maimconfig.system.catalogue import CatalogueError, Provider, load_models

_SECONDS = 5
_LOGINS = "login:address:"
_CLAIMED = "203.0.113.77"  # of the documentation's addresses (RFC 5737): nobody comes from there


def redis(settings: Settings) -> Iterator[Finding]:
    """Whether the Redis of the settings answers; where none is set, whether one is needed."""
    url = settings.redis_url
    if url is None:
        if settings.workers > 1 and settings.realtime_bind is not None:
            yield warning("redis", f"without one {MISSED}", "Set MAIMCONFIG_REDIS_URL.")
        return
    try:
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError:
        yield error("redis", "the package is missing", "Run `pip install 'maimconfig[redis]'`.")
        return
    try:
        with Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as client:
            client.ping()
    except RedisError as reason:
        yield warning(
            "redis", f"it doesn't answer: {reason}", "Start it; until then the service is slower."
        )
    else:
        yield ok("redis", "it answers")


def providers(settings: Settings) -> Iterator[Finding]:
    """Whether the system's AI providers take the operator's keys."""
    operator = {"dashscope": settings.dashscope, "openai": settings.openai}
    try:
        catalogue = load_models(settings.system_models_path, operator)
    except CatalogueError as reason:
        yield error("providers", str(reason).rstrip("."), "Correct the file.")
        return
    enabled = [provider for provider in catalogue.providers if provider.is_enabled]
    if not enabled:
        yield warning(
            "providers", "none is switched on", "Set DASHSCOPE_API_KEY or OPENAI_API_KEY."
        )
    yield from map(_provider, enabled)


def _provider(provider: Provider) -> Finding:
    key = provider.api_key.split(",")[0].strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(
            f"{provider.base_url.rstrip('/')}/models",
            headers=headers,
            timeout=_SECONDS,
            trust_env=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as reason:
        return error(
            "providers",
            f"{provider.name} can't be reached: {reason or type(reason).__name__}",
            "Correct its base URL, or let this machine reach it.",
        )
    if answer.status_code in (401, 403):
        return error("providers", f"{provider.name} refuses the key", "Give it another key.")
    if answer.status_code >= 500:
        return warning(
            "providers", f"{provider.name} answers {answer.status_code}", "Try again later."
        )
    return ok("providers", f"{provider.name} answers")


def proxy(settings: Settings, url: str) -> Iterator[Finding]:
    """How the public plane looks through the proxy, and what of the caller arrives behind it.

    Args:
        url: of the public plane as browsers have it.
    """
    base = url.rstrip("/")
    try:
        with httpx.Client(base_url=base, timeout=_SECONDS, trust_env=False) as client:
            answer = client.get("/health")
            if not _is_health(answer):
                yield error(
                    "proxy",
                    f"{base}/health answers {answer.status_code}, and not as MaimConfig does",
                    "Let the proxy pass all paths on to the public plane.",
                )
                return
            yield ok("proxy", f"{base}/health is MaimConfig's")
            yield from _surface(client, urlsplit(base).scheme)
            yield _address(settings, client)
    except (httpx.HTTPError, httpx.InvalidURL) as reason:
        yield error("proxy", f"{base} can't be reached: {reason}", "Start the proxy.")


def _is_health(answer: httpx.Response) -> bool:
    try:
        return "api" in answer.json()["services"]
    except (ValueError, KeyError, TypeError):
        return False


def _surface(client: httpx.Client, scheme: str) -> Iterator[Finding]:
    if scheme != "https":
        yield warning("proxy", "it isn't HTTPS", "Passwords and keys need TLS: use https://.")
    if client.get("/api/v2/tenants").status_code == 404:
        yield ok("proxy", "the internal plane isn't reached")
    else:
        yield error(
            "proxy",
            "the internal plane is open to everybody",
            "Let the proxy pass requests to the public plane's port only.",
        )
    request_id = f"doctor-{secrets.token_hex(4)}"
    echoed = client.get("/health", headers={"X-Request-ID": request_id}).headers
    if echoed.get("X-Request-ID") != request_id:
        yield warning(
            "proxy", "X-Request-ID doesn't come through", "Let the proxy pass it both ways."
        )


def _address(settings: Settings, client: httpx.Client) -> Finding:
    """Try to log in as nobody with a claimed address; the limit of logins tells which arrived."""
    before = _windows(settings)
    form = {"username": f"doctor-{secrets.token_hex(8)}", "password": secrets.token_hex(8)}
    client.post("/api/v1/auth/login", json=form, headers={"X-Forwarded-For": _CLAIMED})
    arrived = {
        subject.removeprefix(_LOGINS)
        for subject, used in _windows(settings).items()
        if before.get(subject) != used
    }
    if not arrived:
        return warning(
            "proxy",
            "it can't be told which address of a caller arrives",
            "Give this command the settings of the service behind the proxy.",
        )
    if _CLAIMED in arrived:
        return error(
            "proxy",
            "an X-Forwarded-For that a caller made up is believed",
            "In nginx set `proxy_set_header X-Forwarded-For $remote_addr;`.",
        )
    if not settings.trusted_proxies:
        return warning(
            "proxy",
            f"all callers seem to come from {arrived.pop()}",
            "Set MAIMCONFIG_TRUSTED_PROXIES to the proxy's address.",
        )
    return ok("proxy", f"this caller arrives as {arrived.pop()}")


def _windows(settings: Settings) -> dict[str, tuple[object, int]]:
    database = Database(settings.database_url, pool_size=1, synchronous=settings.sqlite_synchronous)
    rows = select(RateWindow.subject, RateWindow.started_at, RateWindow.used)
    try:
        with database.reader.connect() as connection:
            found = connection.execute(rows.where(RateWindow.subject.startswith(_LOGINS)))
            return {row.subject: (row.started_at, row.used) for row in found}
    except DBAPIError:
        return {}
    finally:
        database.dispose()
