"""/api/v2/agent-templates"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from maimconfig.templates.builtin import BUILTIN_TEMPLATES
from tests import factories
from tests.api import Api

URL = "/api/v2/agent-templates"
MASK = "********"
FULL = {
    "name": "售后客服",
    "description": "耐心",
    "category": "客服",
    "tags": ["客服", "售后"],
    "config": {"persona": {"personality": "耐心"}, "own": [1, 1.0, None]},
}
each_builtin = pytest.mark.parametrize("built_in", BUILTIN_TEMPLATES, ids=lambda one: one.id)


def names(api: Api, **query: Any) -> list[str]:
    """The names of the templates on the first page that aren't built in."""
    items = api.data(api.get(URL, query_string=query))["items"]
    return [item["name"] for item in items if not item["is_builtin"]]


class TestBuiltIn:
    @each_builtin
    def test_get(self, built_in: Any, api: Api) -> None:
        """A built-in template can be read, whole."""
        found = api.data(api.get(f"{URL}/{built_in.id}"))
        assert found["id"] == found["template_id"] == built_in.id
        assert (found["is_builtin"], found["tenant_id"]) == (True, None)
        assert (found["name"], found["description"]) == (built_in.name, built_in.description)
        assert (found["category"], found["tags"]) == (built_in.category, list(built_in.tags))
        assert found["config"] == built_in.config

    def test_listed_for_everybody(self, api: Api) -> None:
        """The five are in the list, also in that of a tenant."""
        owner = factories.tenant(api)["id"]
        for query in ({}, {"tenant_id": owner}):
            items = api.data(api.get(URL, query_string=query))["items"]
            assert {item["id"] for item in items} == {one.id for one in BUILTIN_TEMPLATES}

    @pytest.mark.parametrize("body", [{}, {"name": "x"}, {"config": {}}])
    def test_change(self, body: dict[str, Any], api: Api) -> None:
        """A built-in template can't be changed: 403 TEMPLATE_001."""
        path = f"{URL}/tmpl_builtinexpert"
        before = api.data(api.get(path))
        api.error(api.put(path, body), 403, "TEMPLATE_001")
        assert api.data(api.get(path)) == before

    def test_delete(self, api: Api) -> None:
        """A built-in template can't be deleted: 403 TEMPLATE_001."""
        api.error(api.delete(f"{URL}/tmpl_builtinexpert"), 403, "TEMPLATE_001")
        assert api.get(f"{URL}/tmpl_builtinexpert").status_code == 200

    def test_name(self, api: Api) -> None:
        """A template for all can't have a built-in one's name; a tenant's own can."""
        name = BUILTIN_TEMPLATES[0].name
        api.error(api.post(URL, {**FULL, "name": name}), 409, "TEMPLATE_002")
        owner = factories.tenant(api)["id"]
        assert factories.template(api, name=name, tenant_id=owner)["name"] == name


class TestCreate:
    @pytest.mark.parametrize("for_all", [True, False])
    @time_machine.travel("2036-11-23T08:00:00Z", tick=False)
    def test_all_fields(self, for_all: bool, api: Api) -> None:
        """A template of a tenant or for all is answered with everything that was sent."""
        owner = None if for_all else factories.tenant(api)["id"]
        made = api.data(api.post(URL, {**FULL, "tenant_id": owner}))
        assert made == {
            **FULL,
            "id": made["id"],
            "template_id": made["id"],
            "tenant_id": owner,
            "is_builtin": False,
            "created_at": "2036-11-23T08:00:00Z",
            "updated_at": "2036-11-23T08:00:00Z",
        }
        assert made["id"].startswith("tmpl_")
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    @pytest.mark.parametrize(
        "null", [{}, dict.fromkeys(("description", "category", "tags", "tenant_id"))]
    )
    def test_optional_fields(self, null: dict[str, None], api: Api) -> None:
        """Optional fields may be omitted or null."""
        made = factories.template(api, **null)
        assert [made[name] for name in ("description", "category", "tenant_id")] == [None] * 3
        assert made["tags"] == []

    @pytest.mark.parametrize("field", ["name", "config"])
    @pytest.mark.parametrize("missing", [True, False])
    def test_required_fields(self, field: str, missing: bool, api: Api) -> None:
        """Name and configuration can be neither omitted nor null."""
        body = {**FULL, field: None}
        if missing:
            del body[field]
        error = api.error(api.post(URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "path"),
        [
            ("name", "x" * 101, "name"),
            ("config", "persona", "config"),
            ("tags", ["x" * 51], "tags.0"),
            ("tags", ["x"] * 51, "tags"),
            ("category", "x" * 51, "category"),
            ("description", 1, "description"),
            ("is_builtin", True, "is_builtin"),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, path: str, api: Api) -> None:
        """A field of the wrong type or size is 422 with its path."""
        error = api.error(api.post(URL, {**FULL, field: value}), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [path]

    def test_invalid_config(self, api: Api) -> None:
        """A configuration is checked as an agent's: 422 AGENT_004 with the path."""
        config = {"config_overrides": {"voice": {"enable_asr": "yes"}}}
        error = api.error(api.post(URL, {**FULL, "config": config}), 422, "AGENT_004")
        assert list(error["details"]) == ["config.config_overrides.voice.enable_asr"]

    def test_unknown_tenant(self, api: Api) -> None:
        """An unknown tenant is 404 TENANT_001."""
        api.error(api.post(URL, {**FULL, "tenant_id": "tenant_nope"}), 404, "TENANT_001")

    def test_name_taken(self, api: Api) -> None:
        """Names are unique in a tenant, and among those for all: 409 TEMPLATE_002."""
        one, two = (factories.tenant(api)["id"] for _ in range(2))
        for owner in (None, one, two):
            factories.template(api, name="same", tenant_id=owner)
            body = {**FULL, "name": "same ", "tenant_id": owner}
            api.error(api.post(URL, body), 409, "TEMPLATE_002")

    def test_secrets_are_masked(self, api: Api) -> None:
        """Secrets of a template read as ********."""
        made = factories.template(api, config=factories.sample_agent()["config"])
        for path in (f"{URL}/{made['id']}", URL):
            text = api.get(path).get_data(as_text=True)
            assert MASK in text
            assert "to-be-masked" not in text
            assert "llm.example.com" not in text


class TestChange:
    def test_all_fields(self, api: Api) -> None:
        """A change of every field is answered, and read back; the configuration is replaced."""
        made = factories.template(api)
        with time_machine.travel("2036-11-23T08:00:00Z", tick=False):
            changed = api.data(api.put(f"{URL}/{made['id']}", FULL))
        assert changed == {**made, **FULL, "updated_at": "2036-11-23T08:00:00Z"}
        assert api.data(api.get(f"{URL}/{made['id']}")) == changed

    @pytest.mark.parametrize("body", [{}, None])
    def test_empty(self, body: Any, api: Api) -> None:
        """An empty body changes nothing and succeeds."""
        made = factories.template(api, **FULL)
        assert api.data(api.put(f"{URL}/{made['id']}", body)) == made
        assert len(factories.audit_entries(api)) == 1

    def test_null(self, api: Api) -> None:
        """Null empties what may be empty and leaves the rest as it is."""
        made = factories.template(api, **FULL)
        changed = api.data(api.put(f"{URL}/{made['id']}", dict.fromkeys(FULL)))
        emptied = {"description": None, "category": None}
        assert changed == {**made, **emptied, "updated_at": changed["updated_at"]}

    def test_fixed_tenant(self, api: Api) -> None:
        """A template can't be moved to another tenant."""
        made = factories.template(api)
        answer = api.put(f"{URL}/{made['id']}", {"tenant_id": factories.tenant(api)["id"]})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["tenant_id"]

    def test_name_taken(self, api: Api) -> None:
        """The name of another template is 409 TEMPLATE_002; its own name is fine."""
        factories.template(api, name="one")
        two = factories.template(api, name="two")
        api.error(api.put(f"{URL}/{two['id']}", {"name": "one"}), 409, "TEMPLATE_002")
        assert api.data(api.put(f"{URL}/{two['id']}", {"name": "two"})) == two

    def test_invalid_config(self, api: Api) -> None:
        """A configuration that is wrong is 422 AGENT_004, and nothing is changed."""
        made = factories.template(api)
        body = {"name": "new", "config": {"persona": {"states": 5}}}
        error = api.error(api.put(f"{URL}/{made['id']}", body), 422, "AGENT_004")
        assert list(error["details"]) == ["config.persona.states"]
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    def test_mask_keeps(self, api: Api) -> None:
        """******** keeps a stored secret, and is refused where nothing is stored."""
        made = factories.template(api, config=factories.providers(factories.provider("one")))
        path = f"{URL}/{made['id']}"
        same = api.put(path, {"config": made["config"]})
        assert api.data(same) == made
        other = {"name": "two", "base_url": MASK, "api_key": "sk"}
        answer = api.put(path, {"config": factories.providers(other)})
        assert list(api.error(answer, 422, "AGENT_004")["details"]) == [
            "config.config_overrides.model.api_providers.0.base_url"
        ]

    def test_if_match(self, api: Api) -> None:
        """A change from an old ETag is refused with 412."""
        path = f"{URL}/{factories.template(api)['id']}"
        old = {"If-Match": api.get(path).headers["ETag"]}
        api.data(api.put(path, {"tags": ["a"]}, headers=old))
        api.error(api.put(path, {"tags": ["b"]}, headers=old), 412, "PRECONDITION_001")


class TestList:
    def test_scope(self, api: Api) -> None:
        """A list has the templates for all, and those of the tenant that is named."""
        one, two = (factories.tenant(api)["id"] for _ in range(2))
        for name, owner in (("all", None), ("one", one), ("two", two)):
            factories.template(api, name=name, tenant_id=owner)
        assert names(api) == ["all"]
        assert names(api, tenant_id=one) == ["one", "all"]
        assert names(api, tenant_id=two) == ["two", "all"]
        assert names(api, tenant_id="tenant_nope") == ["all"]

    def test_newest_first(self, api: Api) -> None:
        """Templates are listed newest first, each whole; the built-in ones were there before."""
        made = [factories.template(api) for _ in range(3)]
        found = api.data(api.get(URL))
        assert found["items"][:3] == made[::-1]
        assert found["pagination"]["total"] == 8

    def test_category(self, api: Api) -> None:
        """A category is compared exactly, alone and with a tenant."""
        owner = factories.tenant(api)["id"]
        factories.template(api, name="a", category="own")
        factories.template(api, name="b", category="own", tenant_id=owner)
        factories.template(api, name="c", category="Own", tenant_id=owner)
        assert names(api, category="own") == ["a"]
        assert names(api, category="own", tenant_id=owner) == ["b", "a"]
        assert names(api, category="none", tenant_id=owner) == []

    def test_pages(self, api: Api) -> None:
        """Templates come in pages."""
        found = api.data(api.get(URL, query_string={"page": 3, "page_size": 2}))
        assert len(found["items"]) == 1
        assert found["pagination"]["total"] == 5


class TestDelete:
    @time_machine.travel("2036-11-23T08:00:00Z", tick=False)
    def test_delete(self, api: Api) -> None:
        """A template that no agent uses can be deleted."""
        made = factories.template(api)
        assert api.data(api.delete(f"{URL}/{made['id']}")) == {
            "id": made["id"],
            "template_id": made["id"],
            "deleted_at": "2036-11-23T08:00:00Z",
        }
        api.error(api.get(f"{URL}/{made['id']}"), 404, "AGENT_003")

    def test_in_use(self, api: Api) -> None:
        """A template that an agent uses is 409 TEMPLATE_003, until none does."""
        made = factories.template(api)
        agent = factories.agent(api, template_id=made["id"])
        api.error(api.delete(f"{URL}/{made['id']}"), 409, "TEMPLATE_003")
        assert api.data(api.get(f"/api/v2/agents/{agent['id']}"))["template_id"] == made["id"]
        api.data(api.put(f"/api/v2/agents/{agent['id']}", {"template_id": None}))
        api.data(api.delete(f"{URL}/{made['id']}"))

    def test_if_match(self, api: Api) -> None:
        """A template that somebody else changed is not deleted."""
        path = f"{URL}/{factories.template(api)['id']}"
        old = {"If-Match": api.get(path).headers["ETag"]}
        api.data(api.put(path, {"tags": ["a"]}))
        api.error(api.delete(path, headers=old), 412, "PRECONDITION_001")
        assert api.get(path).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_unknown(method: str, api: Api) -> None:
    """An unknown template is 404 AGENT_003."""
    api.error(api.call(method, f"{URL}/tmpl_nope", json={}), 404, "AGENT_003")


class TestAudit:
    def test_all_changes(self, api: Api) -> None:
        """Each change is kept with what differs, secrets masked."""
        config = factories.providers(factories.provider())
        made = factories.template(api, name="a", config=config)
        path = f"{URL}/{made['id']}"
        api.data(api.put(path, {"name": "b", "config": {"own": 1}}))
        api.data(api.delete(path))
        deleted, changed, created = factories.audit_entries(api, resource=made["id"])
        assert [entry["action"] for entry in (created, changed, deleted)] == [
            "template.create",
            "template.update",
            "template.delete",
        ]
        assert changed["after"] == {"name": "b", "config": {"own": 1}}
        assert created["after"]["config"] == changed["before"]["config"] == made["config"]
        assert "sk-" not in str((created, changed, deleted))
