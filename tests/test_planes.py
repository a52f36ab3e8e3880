"""Who may call what: the table of planes, and what is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from maimconfig.app import create_app
from maimconfig.planes import MOUNTS, OPEN, PLANES, Plane, mounts_of
from maimconfig.runtime import Runtime
from maimconfig.users.roles import PERMISSIONS
from tests.api import Api
from tests.db.opening import opened

# What the documents bring along; it is on every plane.
DOCUMENTS = {"/docs", "/redoc", "/openapi.json", "/docs/static/<path:filename>"}

# Whatever might make a careless proxy or framework take a request for an internal one.
HEADERS = [
    {},
    {"Authorization": "Bearer internal"},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1;host=internal"},
    {"X-Forwarded-Host": "127.0.0.1:8000", "X-Forwarded-Port": "8000"},
    {"X-Forwarded-Prefix": "/internal", "X-Script-Name": "/internal"},
    {"X-Original-URL": "/health", "X-Rewrite-URL": "/health"},
    {"X-Internal": "1", "X-Plane": "internal", "X-MaimConfig-Plane": "internal"},
    {"Host": "127.0.0.1:8000"},
    {"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET"},
    {"Origin": "http://127.0.0.1:8000", "Referer": "http://127.0.0.1:8000/"},
    {"Cookie": "plane=internal; session=x"},
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A service; which paths there are has nothing to do with its database."""
    folder: Path = tmp_path_factory.mktemp("planes")
    with opened(f"sqlite:///{folder / 'maimconfig.db'}", folder) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def apps(service: Runtime) -> dict[str, Flask]:
    """The app of each plane."""
    return {plane: create_app(plane, service) for plane in PLANES}


def rules(app: Flask) -> set[str]:
    """The paths that an app serves."""
    return {rule.rule for rule in app.url_map.iter_rules()}


@pytest.mark.parametrize("plane", PLANES)
def test_every_route_has_a_row(apps: dict[str, Flask], plane: str) -> None:
    """Nothing is mounted on a plane but what its rows of the table list, and the documents."""
    app = apps[plane]
    listed = {mount.blueprint().name for mount in MOUNTS if plane in mount.access}
    for rule in app.url_map.iter_rules():
        owner = rule.endpoint.rpartition(".")[0]
        assert owner in listed or rule.rule in DOCUMENTS, rule
    mounted = {rule.endpoint.rpartition(".")[0] for rule in app.url_map.iter_rules()}
    assert listed <= mounted


@pytest.mark.parametrize("plane", PLANES)
def test_every_operation_has_an_entry(apps: dict[str, Flask], plane: Plane) -> None:
    """planes.py says of every operation of a plane what its caller must show."""
    served = {mount.blueprint().name: mount for mount in mounts_of(plane)}
    for rule in apps[plane].url_map.iter_rules():
        blueprint, _, view = rule.endpoint.rpartition(".")
        if rule.rule not in DOCUMENTS:
            access = served[blueprint].access_of(view, plane)
            assert access.kind in ("network", "open", "login", "key"), rule
            assert access.kind != "network" or plane == "internal", rule


def test_named_operations_exist(apps: dict[str, Flask]) -> None:
    """An operation that a row names is one of its blueprint: a slip of the pen would leave the
    true one with less to show."""
    for mount in MOUNTS:
        for view in mount.operations:
            assert f"{mount.blueprint().name}.{view}" in apps["internal"].view_functions


@pytest.mark.parametrize("plane", PLANES)
def test_documents_everywhere(apps: dict[str, Flask], plane: str) -> None:
    """Every plane has its documents."""
    assert rules(apps[plane]) >= DOCUMENTS


def test_rows_are_sound() -> None:
    """Every row names a blueprint that exists, once, and says for each plane what to show."""
    assert len({mount.module for mount in MOUNTS}) == len(MOUNTS)
    assert len({mount.blueprint().name for mount in MOUNTS}) == len(MOUNTS)
    for mount in MOUNTS:
        assert mount.access
        assert set(mount.access) <= set(PLANES)
        kinds = {access.kind for access in mount.access.values()}
        assert kinds <= {"network", "open", "login", "key"}
        for access in (*mount.access.values(), *mount.operations.values()):
            assert access.permission is None or access.kind == "login"
            assert access.permission in (None, *PERMISSIONS)


def test_network_access_is_internal() -> None:
    """What asks for nothing but being on the trusted network is never on the public plane."""
    for mount in mounts_of("public"):
        assert mount.access["public"].kind != "network"
        assert "network" not in {access.kind for access in mount.operations.values()}


def test_what_is_public(apps: dict[str, Flask]) -> None:
    """The public plane serves these paths and no other."""
    users, agents = "/api/v1/admin/users", "/api/v1/agents"
    assert rules(apps["public"]) == DOCUMENTS | {
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/info",
        "/api/v2/chat",
        "/api/v2/chat/batch",
        "/api/v2/chat/history",
        "/api/v2/chat-agents",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/<path:model>",
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/logout",
        "/api/v1/auth/logout-all",
        "/api/v1/auth/me",
        "/api/v1/auth/sessions",
        "/api/v1/auth/change-password",
        f"{agents}/",
        f"{agents}/<id:agent_id>",
        f"{agents}/<id:agent_id>/api_keys",
        f"{agents}/<id:agent_id>/api_keys/<id:key_id>",
        "/api/v1/tenants/",
        "/api/v1/plugins/settings",
        "/api/v1/system/models",
        "/api/v1/system/bot-defaults",
        users,
        f"{users}/<id:user_id>",
        f"{users}/<id:user_id>/status",
        f"{users}/<id:user_id>/reset-password",
        "/api/v1/admin/permissions",
        "/api/v1/admin/analytics/dashboard",
        "/api/v1/admin/analytics/users",
        "/widget/widget.js",
        "/widget/demo",
    }


def test_open_operations() -> None:
    """Without a login the public plane shows health and the widget, and lets people in."""
    open_ones = {
        view
        for mount in mounts_of("public")
        for view, access in mount.operations.items()
        if access.kind == "open"
    }
    assert open_ones == {"register", "log_in", "refresh"}
    whole = {
        mount.blueprint().name for mount in mounts_of("public") if mount.access["public"] == OPEN
    }
    assert whole == {"service", "widget"}


def test_keys_are_asked_for(apps: dict[str, Flask]) -> None:
    """What planes.py says to check an API key itself does so: without one nothing is reached."""
    public, body = Api(apps["public"]), {"message": "x", "tenant_id": "t", "agent_id": "a"}
    checked = 0
    for mount in mounts_of("public"):
        for rule in apps["public"].url_map.iter_rules():
            blueprint, _, view = rule.endpoint.rpartition(".")
            if (
                blueprint == mount.blueprint().name
                and mount.access_of(view, "public").kind == "key"
            ):
                for method in rule.methods - {"HEAD", "OPTIONS"}:
                    wanted = {"requests": [body]} if rule.rule.endswith("/batch") else body
                    query = {**body, "user_id": "u"}
                    options = {"json": wanted} if method == "POST" else {"query_string": query}
                    answer = public.call(method, rule.rule, **options)
                    code = "invalid_api_key" if rule.rule.startswith("/v1/") else "AUTH_006"
                    assert code in answer.get_data(as_text=True), (method, rule)
                    checked += 1
    assert checked >= 8


def internal_only(apps: dict[str, Flask]) -> list[str]:
    """Paths that only the internal plane serves, with something for each parameter."""
    only = rules(apps["internal"]) - rules(apps["public"])
    return sorted(
        "/".join("1" if part.startswith("<") else part for part in rule.split("/")) for rule in only
    )


def test_internal_paths_are_unknown_on_the_public_plane(apps: dict[str, Flask]) -> None:
    """Every internal path is the same plain 404 on the public plane, whatever is sent with it."""
    public = Api(apps["public"])
    plain = public.error(public.get("/nowhere"), 404, "NOT_FOUND")
    paths = internal_only(apps)
    assert len(paths) >= 29
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = public.client.open(path, method=method, json={"tenant_name": "t"})
            assert answer.status_code == 404, (method, path)
            assert "Allow" not in answer.headers
        for headers in HEADERS:
            refused = public.error(public.get(path, headers=headers), 404, "NOT_FOUND")
            for told in ("message", "error"):
                assert refused[told] == plain[told], (path, headers)
            assert set(refused) - {"detail"} == set(plain)


@pytest.mark.parametrize(
    "sly",
    [
        "/api/v2/tenants/",
        "//api/v2/tenants",
        "/api//v2/tenants",
        "/./api/v2/tenants",
        "/health/../api/v2/tenants",
        "/health/..;/api/v2/tenants",
        "/api/v2/tenants%00",
        "/api/v2/tenants?x=1",
        "/API/V2/TENANTS",
        "/api/v2/tenants.json",
        "/%61pi/v2/tenants",
        "/api%2fv2%2ftenants",
        "/docs/static/../../api/v2/tenants",
    ],
)
def test_spelled_otherwise(apps: dict[str, Flask], sly: str) -> None:
    """No other spelling of an internal path gets past either."""
    assert apps["public"].test_client().get(sly).status_code == 404


def test_the_same_resource_on_both(apps: dict[str, Flask]) -> None:
    """Health answers on both planes, and each says which it is."""
    for plane, app in apps.items():
        assert app.test_client().get("/").get_json()["plane"] == plane
        assert app.test_client().get("/health").get_json()["status"] == "healthy"
