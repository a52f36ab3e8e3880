"""Names: trimmed, NFC, 1 to 100 characters, compared exactly on both databases."""

from __future__ import annotations

import pytest

from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"


def refused(api: Api, name: str) -> list[str]:
    """The messages with which a tenant's name is refused."""
    answer = api.post(TENANTS, {"tenant_name": name, "tenant_type": "personal"})
    return api.error(answer, 422, "VALIDATION_ERROR")["details"]["tenant_name"]


@pytest.mark.parametrize("name", ["a", "麦" * 100, "😀" * 100, "ΐ" * 100, "ﬃ" * 100])
def test_length(api: Api, name: str) -> None:
    """Up to 100 characters of any script are kept, however long they are when folded."""
    assert factories.tenant(api, tenant_name=name)["tenant_name"] == name


@pytest.mark.parametrize(
    "name", ["", " ", "\u3000\u00a0\n", "a" * 101, "😀" * 101, "e\u0301" * 101]
)
def test_no_length(api: Api, name: str) -> None:
    """No character at all, and 101 of them, are refused with both bounds."""
    assert refused(api, name) == ["长度必须在1到100之间"]


def test_normalised(api: Api) -> None:
    """A name is stored in NFC, and counted after that: 100 letters with accents fit."""
    made = factories.tenant(api, tenant_name="e\u0301" * 100)
    assert made["tenant_name"] == "é" * 100
    again = api.post(TENANTS, {"tenant_name": "é" * 100, "tenant_type": "personal"})
    api.error(again, 409, "TENANT_002")


@pytest.mark.parametrize("around", [" ", "\t", "\n", "\r\n", "\u00a0", "\u3000", " \u2003 "])
def test_trimmed(api: Api, around: str) -> None:
    """Outer blanks go, inner ones stay."""
    made = factories.tenant(api, tenant_name=f"{around}a b{around}")
    assert made["tenant_name"] == "a b"
    again = api.post(TENANTS, {"tenant_name": f"a b{around}", "tenant_type": "personal"})
    api.error(again, 409, "TENANT_002")


@pytest.mark.parametrize("control", ["\n", "\t", "\r", "\x01", "\x1b", "\x7f", "\x85", "\x9f"])
def test_control_characters(api: Api, control: str) -> None:
    """A control character inside is refused."""
    assert refused(api, f"a{control}b") == ["不能包含控制字符"]


DISTINCT = [
    ("Bob", "bob"),
    ("e", "é"),
    ("ss", "ß"),
    ("😀", "😁"),
    ("a", "а"),  # the second is Cyrillic
    ("a", "ａ"),  # the second is full-width
    ("ii", "ıı"),
    ("a", "a\u200b"),
    ("a b", "a  b"),
    ("か", "が"),
    ("カ", "か"),
    ("1", "①"),
]


@pytest.mark.parametrize("pair", DISTINCT, ids=lambda pair: ascii(pair))
def test_distinct(api: Api, pair: tuple[str, str]) -> None:
    """Names that only look or sound alike are two names, for tenants, agents and keys."""
    for name in pair:
        factories.tenant(api, tenant_name=name)
    owner = factories.agent(api, name=pair[0])
    second = factories.agent(api, owner["tenant_id"], name=pair[1])
    for name in pair:
        assert factories.api_key(api, second, name=name)["name"] == name
    for name in pair:
        api.error(
            api.post(TENANTS, {"tenant_name": name, "tenant_type": "personal"}), 409, "TENANT_002"
        )


def test_plugin_names_are_exact(api: Api) -> None:
    """Bob's plugin setting is not bob's."""
    owner = factories.tenant(api)["id"]
    for name in ("Bob", "bob", "bób"):
        factories.plugin_setting(api, owner, plugin_name=name, config={"of": name})
    listed = api.get("/api/v1/plugins/settings", query_string={"tenant_id": owner}).get_json()
    assert {row["plugin_name"]: row["config"]["of"] for row in listed} == {
        name: name for name in ("Bob", "bob", "bób")
    }


@pytest.mark.parametrize("tags", [["x", "x "], ["é", "e"], ["Bob", "bob"], ["a", " a", "a\t"]])
def test_tags(api: Api, tags: list[str]) -> None:
    """Tags are names as well: outer blanks go, what differs else is another tag."""
    wanted = list(dict.fromkeys(tag.strip() for tag in tags))
    made = factories.agent(api, tags=tags)
    assert made["tags"] == wanted
    changed = api.put(f"/api/v2/agents/{made['id']}", {"tags": [*tags, "one more"]})
    assert api.data(changed)["tags"] == [*wanted, "one more"]
    listed = api.get(
        "/api/v2/agents", query_string={"tenant_id": made["tenant_id"], "tag": tags[0]}
    )
    assert [agent["id"] for agent in api.data(listed)["items"]] == [made["id"]]


def test_tags_of_a_configuration(api: Api) -> None:
    """Tags that come with the configuration are as strict, and the configuration is kept."""
    made = factories.agent(api, config={"tags": ["x", "x ", "y"]})
    assert made["tags"] == ["x", "y"]
    assert made["config"] == {"tags": ["x", "x ", "y"]}
    for wrong in ("", " ", "x" * 51):
        body = {"tenant_id": made["tenant_id"], "name": "b", "config": {"tags": ["a", wrong]}}
        refused = api.error(api.post("/api/v2/agents", body), 422, "AGENT_004")
        assert list(refused["details"]) == ["config.tags.1"]


@pytest.mark.parametrize("text", ["50%_", "%", "_", "\\", "'", '"', "[a]", "*", "😀"])
def test_searched_literally(api: Api, text: str) -> None:
    """A search for a part of a name knows no wildcards."""
    wanted = factories.tenant(api, tenant_name=f"a{text}b")
    factories.tenant(api, tenant_name="a50 percent b")
    found = api.data(api.get(TENANTS, query_string={"q": text}))["items"]
    assert [tenant["id"] for tenant in found] == [wanted["id"]]


def test_searched_in_any_case(api: Api) -> None:
    """A search for a part of a name asks for no case, in any script."""
    made = factories.tenant(api, tenant_name="GROSSE Straße ΣΊΣΥΦΟΣ")
    for text in ("große", "STRASSE", "σίσυφος"):
        found = api.data(api.get(TENANTS, query_string={"q": text}))["items"]
        assert [tenant["id"] for tenant in found] == [made["id"]]
