"""/, /health, /health/live, /health/ready and /info"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

import maimconfig
from maimconfig import setting_types
from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.settings import Settings
from tests.api import Api

PATHS = ("/", "/health", "/health/live", "/health/ready", "/info")


@pytest.fixture
def lost(api_with: Callable[..., Api]) -> Api:
    """A service whose database doesn't answer."""
    return api_with(database_url=setting_types.database_url("mysql://nobody@127.0.0.1:1/none"))


@pytest.mark.parametrize("path", PATHS)
def test_both_planes(path: str, api: Api, public: Api) -> None:
    """All of them are on both planes, plain and without an envelope."""
    for caller in (api, public):
        answer = caller.get(path)
        assert answer.status_code == 200
        assert "success" not in answer.get_json()


def test_root(api: Api, public: Api) -> None:
    """The root tells what this is, and each of its links leads somewhere."""
    found = api.get("/").get_json()
    assert (found["name"], found["version"]) == ("MaimConfig", maimconfig.__version__)
    assert (found["plane"], public.get("/").get_json()["plane"]) == ("internal", "public")
    for link in found["links"].values():
        assert api.get(link).status_code == 200


def test_healthy(api: Api) -> None:
    """A service whose database answers is healthy; the time is in seconds since 1970."""
    found = api.get("/health").get_json()
    assert abs(found.pop("timestamp") - time.time()) < 5
    assert found == {
        "status": "healthy",
        "version": maimconfig.__version__,
        "services": {"database": "healthy", "api": "healthy"},
    }


def test_unhealthy(lost: Api) -> None:
    """Without its database it is 503 and unhealthy, and says which part and when to ask again."""
    answer = lost.get("/health")
    assert int(answer.headers["Retry-After"]) > 0
    found = answer.get_json()
    assert (answer.status_code, found["status"]) == (503, "unhealthy")
    assert found["services"] == {"database": "unhealthy", "api": "healthy"}


def test_live(api: Api, lost: Api) -> None:
    """A process that answers lives, with a database or without."""
    for caller in (api, lost):
        answer = caller.get("/health/live")
        assert (answer.status_code, answer.get_json()) == (200, {"status": "alive"})


def test_ready(api: Api) -> None:
    """A service on a database of its own schema is ready."""
    assert api.get("/health/ready").get_json() == {"status": "ready"}


def test_not_ready_without_database(lost: Api) -> None:
    """Without its database it isn't ready, and says why and when to ask again."""
    answer = lost.get("/health/ready")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json() == {
        "status": "not ready",
        "reason": "the database does not answer",
    }


def test_not_ready_while_it_ends(settings: Settings) -> None:
    """A process that was told to stop isn't ready any more, but healthy."""
    runtime = Runtime.open(settings)
    try:
        api = Api(create_app("internal", runtime))
        assert api.get("/health/ready").status_code == 200
        runtime.draining = True
        answer = api.get("/health/ready")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "shutting down")
        assert api.get("/health").status_code == 200
    finally:
        runtime.close()


def test_not_ready_on_another_schema(settings: Settings, database_url: str) -> None:
    """On a database of another schema it isn't ready, and says what to do."""
    on_it = replace(settings, database_url=setting_types.database_url(database_url))
    runtime = Runtime.open(on_it, auto_migrate=True)
    try:
        api = Api(create_app("internal", runtime))
        assert api.get("/health/ready").status_code == 200
        with runtime.database.writer.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        answer = api.get("/health/ready")
        assert answer.status_code == 503
        assert "maimconfig db upgrade" in answer.get_json()["reason"]
    finally:
        runtime.close()


def test_info(api: Api) -> None:
    """The service tells what it is and can do."""
    found = api.get("/info").get_json()
    assert (found["name"], found["version"]) == ("MaimConfig", maimconfig.__version__)
    assert found["architecture"] == "multi-tenant"
    features = set(found["supported_features"])
    assert {"tenants", "agents", "api-keys", "audit-logs", "users", "billing"} <= features
    assert {"chat", "chat-completions", "conversations", "realtime", "webhooks"} <= features
    assert found["description"]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_open_to_monitors(path: str, api_with: Callable[..., Api]) -> None:
    """Health is told without the token that locks the internal plane; what needs it is locked."""
    api = api_with(internal_token="a-token-of-the-test")
    assert api.client.get(path).status_code == 200
    assert api.client.get("/api/v2/system/models").status_code == 401
