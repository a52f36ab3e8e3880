"""Errors that no view raises: unknown paths, wrong methods, the unexpected, a database away."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from werkzeug.test import create_environ

from maimconfig.app import create_app
from tests import factories
from tests.api import Api
from tests.db.opening import opened
from tests.servers.mariadb import MariaDB, connect
from tests.servers.service import LiveService
from tests.serving.harness import eventually

TENANTS = "/api/v2/tenants"


# --- paths and methods -------------------------------------------------------------------------

UNKNOWN_PATHS = [
    "/nowhere", "/api", "/api/v2", "/api/v2/", "/api/v3/tenants", "/api/v2/tenants/a/b/c",
    "/api/v2/Tenants", "/index.php", "/.env", "/%00", "/%ff", "/😀", "/" + "a" * 5000,
]  # fmt: skip
UNKNOWN_FILES = ["../../app.py", "..%2f..%2fapp.py", "%00", "a" * 5000, "", "swagger-ui", "."]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_path(api: Api, public: Api, path: str) -> None:
    """An unknown path is the 404 of the contract on each plane."""
    for plane in (api, public):
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            plane.error(plane.call(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize("name", UNKNOWN_FILES)
def test_unknown_file(public: Api, name: str) -> None:
    """An asset that isn't there is the same 404, and none is outside of its folder."""
    public.error(public.get(f"/docs/static/{name}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "DELETE", "PUT", "FOO"])
def test_wrong_method(api: Api, method: str) -> None:
    """A method that a path doesn't take is 405, and Allow names those that it takes."""
    answer = api.call(method, TENANTS)
    api.error(answer, 405, "METHOD_NOT_ALLOWED")
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == {
        "GET", "HEAD", "OPTIONS", "POST",
    }  # fmt: skip


def test_trailing_slash(api: Api) -> None:
    """A path with a slash at its end is the same path, and nobody is sent elsewhere."""
    made = api.data(api.post(f"{TENANTS}/", {"tenant_name": "t", "tenant_type": "personal"}))
    assert api.data(api.get(f"{TENANTS}/{made['id']}/")) == made
    assert api.data(api.get(f"{TENANTS}/?page=1"))["items"] == [made]
    assert api.client.get("/health/").status_code == 200


def test_doubled_slashes(api: Api) -> None:
    """Doubled slashes never send a caller to another host."""
    for path in ("//api/v2/tenants", "/api//v2/tenants", "//evil.example/api/v2/tenants"):
        answer = api.client.open({**create_environ("/"), "PATH_INFO": path})
        assert answer.status_code in (200, 308, 404)
        assert answer.headers.get("Location", "http://localhost/").startswith("http://localhost/")


def test_redirect_is_no_page(api: Api, public: Api) -> None:
    """Whoever doubles a slash is sent to the path without, by a header alone."""
    for plane in (api, public):
        answer = plane.client.get("/health//live?x=1")
        assert answer.status_code == 308
        assert answer.headers["Location"] == "http://localhost/health/live?x=1"
        assert answer.data == b""
        assert "Content-Type" not in answer.headers


def test_detail_for_older_front_ends(api: Api) -> None:
    """Below /api/v1 an error repeats its message as `detail`, and elsewhere it doesn't."""
    for path in ("/api/v1/plugins/settings", "/api/v1/nowhere"):
        refused = api.get(path).get_json()
        assert refused["detail"] == refused["message"]
    assert "detail" not in api.get(f"{TENANTS}/nope").get_json()
    english = api.get("/api/v1/nowhere", headers={"Accept-Language": "en"}).get_json()
    assert english["detail"] == "Not found"


def test_html_is_never_answered(api: Api) -> None:
    """Who accepts only HTML still gets the error as JSON."""
    answer = api.get("/nowhere", headers={"Accept": "text/html"})
    assert answer.mimetype == "application/json"
    api.error(answer, 404, "NOT_FOUND")


# --- the unexpected ----------------------------------------------------------------------------


def break_reports(url: str) -> None:
    """Take the tables away from under the usage report."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE usage_records"))
        connection.execute(text("DROP TABLE usage_sums"))
    engine.dispose()


def test_unexpected(database_url: str, live_service: Callable[..., LiveService]) -> None:
    """The unexpected is SYS_001 without a word of what happened; the log has that, by the id."""
    service = live_service(database_url, "--auto-migrate")
    with httpx.Client(base_url=service.internal) as client:
        body = {"tenant_name": "t", "tenant_type": "personal"}
        tenant = client.post(TENANTS, json=body).json()["data"]["id"]
        break_reports(database_url)
        answer = client.get("/api/v2/usage", params={"tenant_id": tenant})
        assert client.get(f"{TENANTS}/{tenant}").status_code == 200
    assert (answer.status_code, answer.json()["error_code"]) == (500, "SYS_001")
    for internal in ("usage_sums", "SELECT", "sqlite", "mysql", "Traceback", ".py", "Error"):
        assert internal not in answer.text
    request_id = answer.headers["X-Request-ID"]
    lines = [json.loads(line) for line in service.log.splitlines() if request_id in line]
    (told,) = (line for line in lines if line["event"] == "unexpected")
    assert "usage_sums" in told["exception"]
    (request,) = (line for line in lines if line["event"] == "request")
    assert (request["status"], request["plane"]) == (500, "internal")


def test_unexpected_below_v1(database_url: str, tmp_path: Path) -> None:
    """The unexpected has the `detail` of /api/v1 as well, and rolls back."""
    with opened(database_url, tmp_path / "instance") as runtime:
        api = Api(create_app("internal", runtime))
        tenant = factories.tenant(api)["id"]
        break_reports(database_url)
        answer = api.post("/api/v1/usage/log", {"action": "a", "tenant_id": tenant})
        assert api.error(answer, 500, "SYS_001")["detail"] == "系统内部错误"


# --- a database that is away -------------------------------------------------------------------


@pytest.fixture
def database(private_mariadb: MariaDB) -> str:
    """URL of a database that goes with its server."""
    with contextlib.closing(connect(private_mariadb.url)) as connection:
        connection.cursor().execute("CREATE DATABASE maimconfig")
    return f"{private_mariadb.url}maimconfig"


def calls(api: Api, tenant: str, key: str) -> Iterator[Any]:
    """Requests of each kind: reads, writes, lists, checks."""
    yield api.get(f"{TENANTS}/{tenant}")
    yield api.get(TENANTS)
    yield api.post(TENANTS, {"tenant_name": "t", "tenant_type": "personal"})
    yield api.put(f"{TENANTS}/{tenant}", {"description": "x"})
    yield api.delete(f"{TENANTS}/{tenant}")
    yield api.post("/api/v2/auth/validate-api-key", {"api_key": key})
    yield api.post("/api/v2/auth/check-permission", {"api_key": key, "permission": "chat"})
    yield api.get("/api/v2/usage", query_string={"tenant_id": tenant})


def test_database_stops_while_serving(
    private_mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    """With the database away every call is 503 with Retry-After, and the service comes back."""
    with opened(database, tmp_path / "instance") as runtime:
        api = Api(create_app("internal", runtime))
        key = factories.api_key(api)
        tenant, secret = key["tenant_id"], key["api_key"]
        private_mariadb.stop()
        for answer in calls(api, tenant, secret):
            api.error(answer, 503, "SYS_002")
            assert int(answer.headers["Retry-After"]) > 0
        assert_health(api, 503, "unhealthy")
        assert api.get("/health/live").status_code == 200
        private_mariadb.start()
        # The look that found it away is the last word until the next one, a second later.
        eventually(lambda: api.get("/health").status_code == 200)
        assert_health(api, 200, "healthy")
        assert api.data(api.get(f"{TENANTS}/{tenant}"))["id"] == tenant
        assert [answer.status_code for answer in calls(api, tenant, secret)] == [
            200, 200, 200, 200, 200, 401, 401, 404,  # the tenant was deleted on the way
        ]  # fmt: skip


def assert_health(api: Api, status: int, word: str) -> None:
    """What the service says of itself."""
    health = api.get("/health")
    assert (health.status_code, health.get_json()["services"]["database"]) == (status, word)
    assert api.get("/health/ready").status_code == status


def test_database_killed_while_serving(
    private_mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    """After a crash of the database, with connections in the pool, the first calls succeed."""
    with opened(database, tmp_path / "instance") as runtime:
        api = Api(create_app("internal", runtime))
        key = factories.api_key(api)
        private_mariadb.kill()
        private_mariadb.start()
        checked = api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
        assert api.data(checked)["valid"] is True
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["id"] == key["id"]
        assert api.data(api.put(f"/api/v2/api-keys/{key['id']}", {"name": "new"}))["name"] == "new"


def test_counts_wait_for_the_database(
    private_mariadb: MariaDB, database: str, tmp_path: Path
) -> None:
    """What was counted before the database went away is written when it is back."""
    with opened(database, tmp_path / "instance") as runtime:
        api = Api(create_app("internal", runtime))
        key = factories.api_key(api)
        for _ in range(5):
            api.data(api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]}))
        private_mariadb.stop()
        runtime.background.flush()
        private_mariadb.start()
        runtime.background.flush()
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["usage_count"] == 5


def test_no_database_at_the_start(private_mariadb: MariaDB, database: str, tmp_path: Path) -> None:
    """A service that starts while its database is away isn't ready, and is when it is back."""
    with opened(database, tmp_path / "instance"):
        pass  # the tables
    private_mariadb.stop()
    with opened(database, tmp_path / "instance", auto_migrate=False) as runtime:
        api = Api(create_app("internal", runtime))
        assert api.get("/health/ready").get_json()["reason"] == "the database does not answer"
        api.error(api.get(TENANTS), 503, "SYS_002")
        private_mariadb.start()
        assert api.get("/health/ready").status_code == 200
        factories.tenant(api)
