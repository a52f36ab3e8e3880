"""The internal plane's optional token."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.settings import Settings
from tests import factories
from tests.api import Api

TOKEN = "a-token-of-at-least-some-length"
TENANTS = "/api/v2/tenants"
LOCKED = [
    "/", "/info", TENANTS, f"{TENANTS}/nope", "/api/v2/system/models", "/api/v1/plugins/settings",
    "/openapi.json", "/docs", "/redoc", "/docs/static/start-redoc.js", "/nowhere", "/metrics",
    "/health/../api/v2/tenants", "/health/x", "/HEALTH",
]  # fmt: skip
WRONG = [
    None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN,
    f"Basic {TOKEN}", f"bearer  {TOKEN}", f"Bearer {TOKEN.upper()}", "Bearer \xe9", "Bearer null",
]  # fmt: skip


@pytest.fixture
def locked(api: Api, api_with: Callable[..., Api]) -> Api:
    """The internal plane with a token, which its document needs as well."""
    assert api.spec, "known from here on, since the other wouldn't tell"
    return api_with(internal_token=TOKEN)


def with_token(token: str | None) -> dict[str, Any]:
    """The options of a call that shows something as its Authorization."""
    return {"headers": {} if token is None else {"Authorization": token}}


@pytest.mark.parametrize("token", WRONG)
def test_wrong_token(locked: Api, token: str | None) -> None:
    """Without the very token every call is 401 with WWW-Authenticate, also of unknown paths."""
    for path in LOCKED:
        answer = locked.get(path, **with_token(token))
        locked.error(answer, 401, "AUTH_006")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_wrong_token_changes_nothing(locked: Api) -> None:
    """What a locked call would have done isn't done."""
    body = {"tenant_name": "t", "tenant_type": "personal"}
    locked.error(locked.post(TENANTS, body), 401, "AUTH_006")
    listed = locked.get(TENANTS, **with_token(f"Bearer {TOKEN}"))
    assert locked.data(listed)["items"] == []


def test_right_token(locked: Api) -> None:
    """With the token everything is as without a lock."""
    shown = with_token(f"Bearer {TOKEN}")
    made = locked.post(TENANTS, {"tenant_name": "t", "tenant_type": "personal"}, **shown)
    assert locked.data(made)["tenant_name"] == "t"
    assert locked.get("/docs", **shown).status_code == 200
    locked.error(locked.get("/nowhere", **shown), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_stays_open(locked: Api, path: str) -> None:
    """What a load balancer asks for needs no token."""
    assert locked.get(path).status_code == 200
    assert locked.get(path, **with_token("Bearer wrong")).status_code == 200


def test_no_lock_by_default(api: Api) -> None:
    """Without a token set the internal plane asks for none, and ignores one."""
    assert api.get(TENANTS).status_code == 200
    assert api.get(TENANTS, **with_token("Bearer anything")).status_code == 200


def test_the_public_plane_has_no_such_lock(settings: Settings, instance_folder: Path) -> None:
    """The token locks the internal plane, and opens nothing on the public one."""
    other = replace(settings, internal_token=TOKEN, instance=instance_folder)
    with contextlib.closing(Runtime.open(other)) as runtime:
        public = Api(create_app("public", runtime))
        assert public.get("/info").status_code == 200
        public.error(public.get(TENANTS, **with_token(f"Bearer {TOKEN}")), 404, "NOT_FOUND")


def test_keys_beside_the_token(api: Api, locked: Api) -> None:
    """What a key opens needs no token besides: both would stand in the same header."""
    key = factories.api_key(api, permissions=["chat"])["api_key"]
    listed = locked.get("/v1/models", **with_token(f"Bearer {key}"))
    assert listed.status_code == 200
    assert locked.get("/v1/models").status_code == 401
