"""What browsers are told: security headers, and CORS for the listed origins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.http.browsers import HEADERS
from tests.api import Api
from tests.factories import users

ORIGIN = "https://chat.example.com"
CALLS = [
    ("GET", "/health", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/nowhere", 404),
    ("PATCH", "/health", 405),
    ("GET", "/api/v1/auth/me", 401),
    ("POST", "/api/v1/auth/login", 422),
]


@pytest.fixture
def listed(public_with: Callable[..., Api]) -> Api:
    """The public plane with a listed origin."""
    return public_with(cors_origins=(ORIGIN, "http://localhost:3000"))


def asked(api: Api, method: str, path: str, origin: str | None, **headers: str) -> Any:
    """An answer to a page of an origin."""
    sent = {**({"Origin": origin} if origin else {}), **headers}
    return api.client.open(path, method=method, headers=sent)


def cors(answer: Any) -> dict[str, str]:
    """The CORS headers of an answer."""
    return {k: v for k, v in answer.headers.items() if k.startswith("Access-Control-")}


@pytest.mark.parametrize(("method", "path", "status"), CALLS)
def test_security_headers(method: str, path: str, status: int, public: Api, api: Api) -> None:
    """Every answer of every plane has them, errors too."""
    for plane in (public, api):
        answer = plane.client.open(path, method=method)
        assert answer.status_code == status
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_pages(public: Api) -> None:
    """The documentation pages may load what they need from here, and from nowhere else."""
    policy = public.client.get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize(("method", "path", "status"), CALLS)
def test_off_by_default(method: str, path: str, status: int, public: Api) -> None:
    """Without listed origins no page is allowed anything."""
    answer = asked(public, method, path, ORIGIN)
    assert (answer.status_code, cors(answer)) == (status, {})


@pytest.mark.parametrize(("method", "path", "status"), CALLS)
def test_listed(method: str, path: str, status: int, listed: Api) -> None:
    """A listed origin is allowed by its name, on every answer; never `*`, never credentials."""
    answer = asked(listed, method, path, ORIGIN)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Retry-After", "RateLimit-Reset", "Idempotency-Replayed"} <= set(exposed)
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "*", "https://evil.example.com", f"{ORIGIN}.evil.com", f"{ORIGIN}/",
        "http://chat.example.com", f"{ORIGIN}:8443", ORIGIN.upper(), "",
    ],
)  # fmt: skip
def test_others(origin: str | None, listed: Api) -> None:
    """No other origin is; and caches are told that it depends on the origin."""
    answer = asked(listed, "GET", "/health", origin)
    assert cors(answer) == {}
    assert "Origin" in answer.headers["Vary"]


def test_preflight(listed: Api) -> None:
    """A preflight needs no token, and allows what the API takes."""
    answer = asked(
        listed,
        "OPTIONS",
        "/api/v1/agents/agent_1",
        ORIGIN,
        **{
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,if-match",
        },
    )
    assert answer.status_code == 200
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert {"authorization", "if-match", "content-type"} <= {
        name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")
    }
    refused = asked(listed, "OPTIONS", "/api/v1/agents/agent_1", "https://evil.example.com")
    assert cors(refused) == {}


def test_a_page_logs_in(listed: Api) -> None:
    """A page of a listed origin goes the whole way without a cookie."""
    someone = users.person(listed)
    answer = someone.get("/api/v1/auth/me", headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_never_on_the_internal_plane(api_with: Callable[..., Api]) -> None:
    """The internal plane needs no login, so no page may call it, listed or not."""
    internal = api_with(cors_origins=(ORIGIN,))
    for method, path in (("GET", "/api/v2/tenants"), ("OPTIONS", "/api/v2/tenants")):
        assert cors(asked(internal, method, path, ORIGIN)) == {}
