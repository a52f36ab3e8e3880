"""/api/v2/tenants/{id}/permission-groups"""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api

GROUPS = {"support": ["chat", "config_read"], "everything": ["*"], "nobody": []}


def url(tenant: dict[str, Any]) -> str:
    """Where a tenant's groups are."""
    return f"/api/v2/tenants/{tenant['id']}/permission-groups"


def test_none_at_first(api: Api) -> None:
    """A new tenant has no groups."""
    assert api.data(api.get(url(factories.tenant(api)))) == {"groups": {}}


def test_set_and_get(api: Api) -> None:
    """Groups read as they were set; setting them again replaces all."""
    tenant = factories.tenant(api)
    assert api.data(api.put(url(tenant), {"groups": GROUPS})) == {"groups": GROUPS}
    assert api.data(api.get(url(tenant))) == {"groups": GROUPS}
    assert api.data(api.put(url(tenant), {"groups": {}})) == {"groups": {}}


@pytest.mark.parametrize("body", [{}, {"groups": None}])
def test_empty_body(body: dict[str, None], api: Api) -> None:
    """An empty body changes nothing and succeeds."""
    tenant = factories.tenant(api)
    api.put(url(tenant), {"groups": GROUPS})
    assert api.data(api.put(url(tenant), body)) == {"groups": GROUPS}


@pytest.mark.parametrize(
    ("groups", "paths"),
    [
        ({"Support": ["chat"]}, ["groups.Support"]),
        ({"": ["chat"]}, ["groups."]),
        ({"a b": []}, ["groups.a b"]),
        ({"support": ["chat", "Chat"]}, ["groups.support.1"]),
        ({"support": ["", "a" * 65]}, ["groups.support.0", "groups.support.1"]),
        ({"support": [f"p{i}" for i in range(101)]}, ["groups.support"]),
    ],
)
def test_malformed(groups: dict[str, list[str]], paths: list[str], api: Api) -> None:
    """A group or member whose name can't be a permission is 422 KEY_005 with its path."""
    tenant = factories.tenant(api)
    error = api.error(api.put(url(tenant), {"groups": groups}), 422, "KEY_005")
    assert sorted(error["details"]) == paths
    assert api.data(api.get(url(tenant))) == {"groups": {}}


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ([], "groups"),
        ("support", "groups"),
        ({"support": "chat"}, "groups.support"),
        ({"support": [1]}, "groups.support.0"),
        ({"support": None}, "groups.support"),
    ],
)
def test_wrong_types(groups: Any, path: str, api: Api) -> None:
    """Groups are an object of arrays of strings; what isn't is named by its path."""
    answer = api.put(url(factories.tenant(api)), {"groups": groups})
    error = api.error(answer, 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [path]


def test_too_many(api: Api) -> None:
    """A tenant has at most 100 groups."""
    groups = {f"g{i}": ["chat"] for i in range(101)}
    answer = api.put(url(factories.tenant(api)), {"groups": groups})
    assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["groups"]


def test_takes_effect_at_once(api: Api) -> None:
    """The next check of a key sees what its group stands for now."""
    key = factories.api_key(api, permissions=["support"])
    tenant = {"id": key["tenant_id"]}
    body = {"api_key": key["api_key"], "permission": "config_read"}
    found = []
    for groups in ({}, GROUPS, {"support": ["chat"]}):
        api.data(api.put(url(tenant), {"groups": groups}))
        found.append(api.data(api.post("/api/v2/auth/check-permission", body))["has_permission"])
    assert found == [False, True, False]


def test_of_another_tenant(api: Api) -> None:
    """A group stands for something in its own tenant's keys only."""
    api.put(url(factories.tenant(api)), {"groups": GROUPS})
    key = factories.api_key(api, permissions=["support"])
    body = {"api_key": key["api_key"], "permission": "chat"}
    assert not api.data(api.post("/api/v2/auth/check-permission", body))["has_permission"]


def test_audit(api: Api) -> None:
    """A change is kept with what the groups were before."""
    tenant = factories.tenant(api)
    api.put(url(tenant), {"groups": GROUPS})
    entry = factories.audit_entries(api, resource=tenant["id"])[0]
    assert entry["action"] == "tenant.update"
    assert entry["before"] == {"permission_groups": {}}
    assert entry["after"] == {"permission_groups": GROUPS}


def test_if_match(api: Api) -> None:
    """Groups have the tenant's ETag, and a change from an old one is refused with 412."""
    tenant = factories.tenant(api)
    etag = api.get(url(tenant)).headers["ETag"]
    assert api.get(url(tenant), headers={"If-None-Match": etag}).status_code == 304
    first = api.put(url(tenant), {"groups": GROUPS}, headers={"If-Match": etag})
    assert first.headers["ETag"] == api.get(url(tenant)).headers["ETag"] != etag
    late = api.put(url(tenant), {"groups": {}}, headers={"If-Match": etag})
    api.error(late, 412, "PRECONDITION_001")
