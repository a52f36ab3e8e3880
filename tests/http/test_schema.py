"""Unknown fields, and how what is wrong is told."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.http.schema import flat
from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"
BODY = {"tenant_name": "t", "tenant_type": "personal"}


def details(api: Api, body: dict[str, Any], **options: Any) -> dict[str, list[str]]:
    """What is wrong with the body of a tenant, by field."""
    return api.error(api.post(TENANTS, body, **options), 422, "VALIDATION_ERROR")["details"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tenantname", "tenant_name"),
        ("tenant-name", "tenant_name"),
        ("descripton", "description"),
        ("contact_mail", "contact_email"),
        ("ownerid", "owner_id"),
    ],
)
def test_nearest_name(api: Api, name: str, meant: str) -> None:
    """An unknown field is refused with the nearest known name, in the caller's language."""
    assert details(api, {**BODY, name: "x"}) == {name: [f"未知字段，是否想写 {meant}？"]}
    english = details(api, {**BODY, name: "x"}, headers={"Accept-Language": "en"})
    assert english == {name: [f"Unknown field, did you mean {meant}?"]}


@pytest.mark.parametrize("name", ["zzz", "", "😀", "{0}", "{name}", "%s", "x" * 10_000])
def test_nothing_near(api: Api, name: str) -> None:
    """An unknown field that is near to nothing is refused as unknown."""
    assert list(details(api, {**BODY, name: "x"}).values()) == [["未知字段"]]


def test_every_field_is_told(api: Api) -> None:
    """All that is wrong is told at once."""
    wrong = details(api, {"tenant_name": 1, "tenant_type": None, "contact_email": "x", "zzz": 1})
    assert set(wrong) == {"tenant_name", "tenant_type", "contact_email", "zzz"}


def test_the_first_is_the_error(api: Api) -> None:
    """The error's own text names the first field that is wrong."""
    refused = api.error(api.post(TENANTS, {**BODY, "zzz": 1}), 422, "VALIDATION_ERROR")
    assert refused["error"] == "zzz：未知字段"


def test_read_only_fields_are_unknown(api: Api) -> None:
    """What only an answer has can't be set."""
    made = factories.tenant(api)
    for name in ("id", "tenant_id", "created_at", "updated_at", "revision", "agent_count"):
        refused = api.put(f"{TENANTS}/{made['id']}", {name: made.get(name, 1)})
        assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == [name]


def test_other_query_parameters(api: Api) -> None:
    """A query may carry what others need, such as a cache buster."""
    assert api.data(api.get(TENANTS, query_string={"_": "1", "utm": "x"}))["items"] == []


MANY = {
    "unknown fields": {f"f{number}": 1 for number in range(50_000)},
    "permissions of a wrong type": {"permissions": [1] * 300_000},
    "permissions of a wrong form": {"permissions": ["A"] * 150_000},
    "addresses": {"allowed_ips": ["x"] * 150_000},
}


@pytest.mark.parametrize("case", MANY)
def test_many_mistakes(api: Api, case: str) -> None:
    """However much is wrong with a body, the answer stays small."""
    owner = factories.agent(api)
    key = {"tenant_id": owner["tenant_id"], "agent_id": owner["id"], "name": "k"}
    answer = api.post("/api/v2/api-keys", {**key, **MANY[case]})
    assert answer.status_code == 422
    assert len(answer.data) < 64 * 1024


def test_many_tags_and_groups(api: Api) -> None:
    """Lists and objects that are far too long are refused as a whole."""
    owner = factories.agent(api)
    tags = api.put(f"/api/v2/agents/{owner['id']}", {"tags": [1] * 300_000})
    assert list(api.error(tags, 422, "VALIDATION_ERROR")["details"]) == ["tags"]
    groups = {"groups": {f"A{number}": 1 for number in range(50_000)}}
    refused = api.put(f"{TENANTS}/{owner['tenant_id']}/permission-groups", groups)
    assert list(api.error(refused, 422, "VALIDATION_ERROR")["details"]) == ["groups"]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ({"a": ["x"]}, {"a": ["x"]}),
        ({"a": {"b": {"0": ["x"]}}}, {"a.b.0": ["x"]}),
        ({"a": {0: ["x"], 1: ["y"]}}, {"a.0": ["x"], "a.1": ["y"]}),
        ({"_schema": ["x"]}, {"json": ["x"]}),
        ({"a": {"_schema": ["x"]}}, {"a": ["x"]}),
        (["x"], {"json": ["x"]}),
        ("x", {"json": ["x"]}),
        ({}, {}),
    ],
)
def test_flat(messages: Any, expected: dict[str, list[str]]) -> None:
    """Nested messages become field paths."""
    assert flat(messages) == expected
