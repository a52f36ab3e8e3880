"""planes.py: nothing is mounted without a row, and the public plane is no way in."""

from __future__ import annotations

import pytest

from maimconfig.planes import MOUNTS, PLANES, Plane, mounts_of
from tests.api import Api

# What every plane has beside its rows: the documents of itself.
DOCUMENTS = {"docs", "api-docs"}


@pytest.mark.parametrize("plane", PLANES)
def test_every_route_has_a_row(api: Api, public: Api, plane: Plane) -> None:
    """Each route of a plane belongs to a blueprint that has a row for the plane."""
    app = {"internal": api, "public": public}[plane].app
    mounted = {mount.blueprint().name for mount in mounts_of(plane)}
    found = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
    assert found - DOCUMENTS == mounted


def test_every_row_says_what_to_show() -> None:
    """Each row is on a plane and says for it what a caller must show."""
    for mount in MOUNTS:
        assert mount.access, mount.module
        assert set(mount.access) <= set(PLANES)
        assert mount.access.get("public") != "network", mount.module


def test_public_plane_is_no_way_in(api: Api, public: Api) -> None:
    """The public plane answers every internal path like one that nobody serves."""
    served = {rule.rule for rule in public.app.url_map.iter_rules()}
    nowhere = _shape(public, "GET", "/nobody/serves/this")
    for rule in api.app.url_map.iter_rules():
        if rule.rule in served:
            continue
        path = rule.rule.replace("<id:", "").replace("<int:version>", "1").replace(">", "")
        for method in rule.methods & {"GET", "POST", "PUT", "DELETE"}:
            assert _shape(public, method, path) == nowhere, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8000"},
        {"X-Forwarded-Host": "127.0.0.1:8000", "X-Forwarded-Port": "8000"},
        {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
        {"X-Original-URL": "/api/v2/tenants", "X-Rewrite-URL": "/api/v2/tenants"},
        {"X-HTTP-Method-Override": "GET", "X-Forwarded-Prefix": "/api/v2"},
        {"Authorization": "Bearer internal"},
    ],
)
def test_no_header_opens_it(public: Api, headers: dict[str, str]) -> None:
    """No header makes the public plane serve an internal path."""
    assert public.get("/api/v2/tenants", headers=headers).status_code == 404


def _shape(plane: Api, method: str, path: str) -> tuple[int, str, str]:
    response = plane.call(method, path)
    body = response.get_json()
    return response.status_code, body["error_code"], body["error"]
