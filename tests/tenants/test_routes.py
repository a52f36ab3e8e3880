"""/api/v2/tenants"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api

URL = "/api/v2/tenants"
FULL = {
    "tenant_name": "麦麦客服",
    "tenant_type": "personal",
    "description": "一家公司",
    "contact_email": "ops@example.com",
    "tenant_config": {"quotas": {"max_agents": 3}, "free": [1, 1.0, None, {"嵌": "套"}, True, ""]},
    "owner_id": "user_abc",
}


def names(api: Api, **query: Any) -> list[str]:
    """The names on the first page of a list."""
    items = api.data(api.get(URL, query_string=query))["items"]
    return [item["tenant_name"] for item in items]


class TestCreate:
    @time_machine.travel("2026-11-23T08:00:00.250000Z", tick=False)
    def test_all_fields(self, api: Api) -> None:
        """A tenant is answered with everything that was sent, its ids, status and times."""
        made = api.data(api.post(URL, FULL))
        assert made == {
            **FULL,
            "id": made["id"],
            "tenant_id": made["id"],
            "status": "active",
            "created_at": "2026-11-23T08:00:00.250000Z",
            "updated_at": "2026-11-23T08:00:00.250000Z",
        }
        assert made["id"].startswith("tenant_")
        assert made["id"].removeprefix("tenant_").isalnum()

    def test_read_back(self, api: Api) -> None:
        """A tenant that was created reads as it was answered."""
        made = api.data(api.post(URL, FULL))
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    @pytest.mark.parametrize(
        "null", [{}, dict.fromkeys(FULL.keys() - {"tenant_name", "tenant_type"})]
    )
    def test_optional_fields(self, null: dict[str, None], api: Api) -> None:
        """Optional fields may be omitted or null; the configuration is an empty object then."""
        made = factories.tenant(api, **null)
        assert made["tenant_config"] == {}
        assert [made[name] for name in ("description", "contact_email", "owner_id")] == [None] * 3

    @pytest.mark.parametrize("field", ["tenant_name", "tenant_type"])
    @pytest.mark.parametrize("missing", [True, False])
    def test_required_fields(self, field: str, missing: bool, api: Api) -> None:
        """Name and type can be neither omitted nor null."""
        body = {**FULL, field: None}
        if missing:
            del body[field]
        error = api.error(api.post(URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("tenant_name", ""),
            ("tenant_name", " \t "),
            ("tenant_name", "x" * 101),
            ("tenant_name", "a\nb"),
            ("tenant_name", 5),
            ("description", "x" * 5001),
            ("description", ["x"]),
            ("contact_email", "not an address"),
            ("contact_email", f"{'x' * 250}@example.com"),
            ("tenant_config", []),
            ("tenant_config", "{}"),
            ("owner_id", ""),
            ("owner_id", "x" * 51),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, api: Api) -> None:
        """A field of the wrong type, size or form is 422 with its name."""
        error = api.error(api.post(URL, {**FULL, field: value}), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]
        assert names(api) == []

    @pytest.mark.parametrize("tenant_type", ["team", "Personal", ""])
    def test_type_not_supported(self, tenant_type: str, api: Api) -> None:
        """A tenant is personal or enterprise, else 422 TENANT_004."""
        answer = api.post(URL, {**FULL, "tenant_type": tenant_type})
        assert list(api.error(answer, 422, "TENANT_004")["details"]) == ["tenant_type"]

    def test_unknown_field(self, api: Api) -> None:
        """An unknown field is refused, and the nearest known name is told."""
        error = api.error(api.post(URL, {**FULL, "tenant_nam": "x"}), 422, "VALIDATION_ERROR")
        assert "tenant_name" in error["details"]["tenant_nam"][0]

    def test_name_is_trimmed_and_normalised(self, api: Api) -> None:
        """Outer blanks go, and a composed and a decomposed é are the same name."""
        made = factories.tenant(api, tenant_name="  cafe\u0301\u3000")
        assert made["tenant_name"] == "café"

    def test_name_of_100_characters(self, api: Api) -> None:
        """A name may have 100 characters, also ones that take four bytes or fold to three."""
        for name in ("😀" * 100, "ΐ" * 100):
            assert factories.tenant(api, tenant_name=name)["tenant_name"] == name

    @pytest.mark.parametrize("again", ["one", " one ", "one\u3000"])
    def test_name_taken(self, again: str, api: Api) -> None:
        """A second tenant of the same name is 409 TENANT_002."""
        factories.tenant(api, tenant_name="one")
        answer = api.post(URL, {"tenant_name": again, "tenant_type": "personal"})
        api.error(answer, 409, "TENANT_002")
        assert names(api) == ["one"]

    @pytest.mark.parametrize("other", ["Bob", "é", "😁", "ß", "ｂob"])
    def test_names_are_compared_exactly(self, other: str, api: Api) -> None:
        """Names that differ in case, accent or emoji are two names."""
        for name in ("bob", "e", "😀", "ss"):
            factories.tenant(api, tenant_name=name)
        assert factories.tenant(api, tenant_name=other)["tenant_name"] == other


class TestChange:
    def test_all_fields(self, api: Api) -> None:
        """A change of every field is answered, and read back."""
        made = factories.tenant(api)
        changes = {
            "tenant_name": "新名字",
            "description": "新的",
            "contact_email": "new@example.com",
            "tenant_config": {"a": 1},
            "status": "inactive",
        }
        with time_machine.travel("2036-01-01T00:00:00Z", tick=False):
            changed = api.data(api.put(f"{URL}/{made['id']}", changes))
        assert changed == {**made, **changes, "updated_at": "2036-01-01T00:00:00Z"}
        assert api.data(api.get(f"{URL}/{made['id']}")) == changed

    @pytest.mark.parametrize("body", [{}, None])
    def test_empty(self, body: Any, api: Api) -> None:
        """An empty body changes nothing and succeeds."""
        made = api.data(api.post(URL, FULL))
        assert api.data(api.put(f"{URL}/{made['id']}", body)) == made
        assert [entry["action"] for entry in factories.audit_entries(api)] == ["tenant.create"]

    def test_null(self, api: Api) -> None:
        """Null empties what may be empty and leaves the rest as it is."""
        made = api.data(api.post(URL, FULL))
        fields = ("tenant_name", "description", "contact_email", "tenant_config", "status")
        changed = api.data(api.put(f"{URL}/{made['id']}", dict.fromkeys(fields)))
        emptied = {"description": None, "contact_email": None}
        assert changed == {**made, **emptied, "updated_at": changed["updated_at"]}

    @pytest.mark.parametrize(
        "config", [{"a": True}, {"a": 1.0}, {"b": 1, "a": 1}, {"a": 1, "b": 1.0}, {}]
    )
    def test_config_is_kept_to_the_letter(self, config: dict[str, Any], api: Api) -> None:
        """A configuration that differs only in type or order takes the place of the old one."""
        made = factories.tenant(api, tenant_config={"a": 1, "b": 1})
        api.data(api.put(f"{URL}/{made['id']}", {"tenant_config": config}))
        stored = api.data(api.get(f"{URL}/{made['id']}"))["tenant_config"]
        assert repr(stored) == repr(config)

    @pytest.mark.parametrize("field", ["tenant_type", "owner_id", "id", "created_at"])
    def test_fixed_fields(self, field: str, api: Api) -> None:
        """What the contract doesn't list can't be changed."""
        made = factories.tenant(api)
        error = api.error(
            api.put(f"{URL}/{made['id']}", {field: "personal"}), 422, "VALIDATION_ERROR"
        )
        assert list(error["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("status", "deleted"), ("status", 1), ("tenant_name", ""), ("contact_email", "x")],
    )
    def test_wrong_fields(self, field: str, value: Any, api: Api) -> None:
        """A wrong field is 422 with its name."""
        made = factories.tenant(api)
        error = api.error(api.put(f"{URL}/{made['id']}", {field: value}), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    def test_name_taken(self, api: Api) -> None:
        """The name of another tenant is 409 TENANT_002; its own name is fine."""
        factories.tenant(api, tenant_name="one")
        two = factories.tenant(api, tenant_name="two")
        api.error(api.put(f"{URL}/{two['id']}", {"tenant_name": "one"}), 409, "TENANT_002")
        assert api.data(api.put(f"{URL}/{two['id']}", {"tenant_name": "two"})) == two

    def test_if_match(self, api: Api) -> None:
        """A change from an old ETag is refused with 412, one from the present ETag is made."""
        made = factories.tenant(api)
        old = api.get(f"{URL}/{made['id']}").headers["ETag"]
        first = api.put(f"{URL}/{made['id']}", {"description": "1"}, headers={"If-Match": old})
        assert api.data(first)["description"] == "1"
        late = api.put(f"{URL}/{made['id']}", {"description": "2"}, headers={"If-Match": old})
        api.error(late, 412, "PRECONDITION_001")
        again = {"If-Match": first.headers["ETag"]}
        assert (
            api.put(f"{URL}/{made['id']}", {"description": "3"}, headers=again).status_code == 200
        )

    def test_quotas_leave_the_etag(self, api: Api) -> None:
        """An agent or a key that is made is no change of the tenant."""
        made = factories.tenant(api)
        before = api.get(f"{URL}/{made['id']}")
        factories.api_key(api, factories.agent(api, made["id"]))
        after = api.get(f"{URL}/{made['id']}", headers={"If-None-Match": before.headers["ETag"]})
        assert after.status_code == 304


class TestUnknown:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("GET", "/stats"),
            ("GET", "/permission-groups"),
            ("PUT", "/permission-groups"),
        ],
    )
    def test_unknown(self, method: str, path: str, api: Api) -> None:
        """An unknown tenant is 404 TENANT_001."""
        body = {"groups": {}} if method == "PUT" and path else {}
        answer = api.call(method, f"{URL}/tenant_nope{path}", json=body)
        api.error(answer, 404, "TENANT_001")

    @pytest.mark.parametrize("tenant_id", ["tenant_x%20", "%00", "x" * 60, "租户", "%F0%28"])
    def test_impossible(self, tenant_id: str, api: Api) -> None:
        """What can't be an id is simply unknown."""
        api.error(api.get(f"{URL}/{tenant_id}"), 404, "TENANT_001")

    def test_trailing_blank(self, api: Api) -> None:
        """MySQL's blindness for trailing blanks doesn't find a tenant."""
        made = factories.tenant(api)
        api.error(api.get(f"{URL}/{made['id']}%20"), 404, "TENANT_001")


class TestList:
    def test_newest_first(self, api: Api) -> None:
        """Tenants are listed newest first."""
        for name in "abc":
            factories.tenant(api, tenant_name=name)
        assert names(api) == ["c", "b", "a"]

    def test_same_moment(self, api: Api) -> None:
        """Tenants of the same microsecond have a stable order, so pages neither lose nor repeat."""
        with time_machine.travel("2026-11-23T08:00:00Z", tick=False):
            made = {factories.tenant(api)["tenant_name"] for _ in range(5)}
        pages = [names(api, page=page, page_size=2) for page in (1, 2, 3)]
        assert {name for page in pages for name in page} == made
        assert [len(page) for page in pages] == [2, 2, 1]

    def test_items_are_whole(self, api: Api) -> None:
        """A list shows the same object as a read."""
        made = api.data(api.post(URL, FULL))
        assert api.data(api.get(URL))["items"] == [made]

    def test_pagination(self, api: Api) -> None:
        """A page tells where it stands; `size` is another name of `page_size`."""
        for name in "abc":
            factories.tenant(api, tenant_name=name)
        found = api.data(api.get(URL, query_string={"page": 2, "size": 2}))
        assert [item["tenant_name"] for item in found["items"]] == ["a"]
        assert found["pagination"] == {
            "page": 2,
            "page_size": 2,
            "total": 3,
            "total_pages": 2,
            "has_next": False,
            "has_prev": True,
        }

    def test_page_beyond_the_end(self, api: Api) -> None:
        """A page beyond the last is empty."""
        factories.tenant(api)
        assert names(api, page=1_000_000_000) == []

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": "active"}, ["Gamma", "alpha"]),
            ({"status": "inactive"}, ["beta"]),
            ({"status": "suspended"}, []),
            ({"tenant_type": "personal"}, ["beta", "alpha"]),
            ({"tenant_type": "enterprise"}, ["Gamma"]),
            ({"owner_id": "user_1"}, ["Gamma", "beta"]),
            ({"owner_id": "user_2"}, []),
            ({"q": "A"}, ["Gamma", "beta", "alpha"]),
            ({"q": "gAm"}, ["Gamma"]),
            ({"q": ""}, ["Gamma", "beta", "alpha"]),
            ({"q": "eta", "owner_id": "user_1", "status": "inactive"}, ["beta"]),
            ({"q": "eta", "owner_id": "user_1", "status": "active"}, []),
            ({"tenant_type": "personal", "status": "active"}, ["alpha"]),
        ],
    )
    def test_filters(self, query: dict[str, str], found: list[str], api: Api) -> None:
        """Filters work alone and together; the total counts what they let through."""
        factories.tenant(api, tenant_name="alpha", tenant_type="personal")
        beta = factories.tenant(api, tenant_name="beta", tenant_type="personal", owner_id="user_1")
        api.put(f"{URL}/{beta['id']}", {"status": "inactive"})
        factories.tenant(api, tenant_name="Gamma", owner_id="user_1")
        answer = api.data(api.get(URL, query_string=query))
        assert [item["tenant_name"] for item in answer["items"]] == found
        assert answer["pagination"]["total"] == len(found)

    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("50%_", ["50%_off"]),
            ("%", ["50%_off"]),
            ("_", ["50%_off"]),
            ("\\", ["back\\slash"]),
            ("'", ["o'clock"]),
            ("CAFÉ", ["Café"]),
            ("cafe\u0301", ["Café"]),
            ("cafe", []),
            ("STRASSE", ["Straße"]),
            ("麦", ["小麦"]),
            ("😀", []),
        ],
    )
    def test_search_is_literal(self, q: str, found: list[str], api: Api) -> None:
        """A search takes %, _, quotes and accents literally, and ignores case in any script."""
        for name in ("50%_off", "50 off", "back\\slash", "o'clock", "Café", "Straße", "小麦", "😁"):
            factories.tenant(api, tenant_name=name)
        assert names(api, q=q) == found

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("page", "0"),
            ("page", "-1"),
            ("page", "1.5"),
            ("page", "٣"),
            ("page", "1" + "0" * 21),
            ("page_size", "0"),
            ("page_size", "101"),
            ("size", "101"),
            ("status", "deleted"),
            ("tenant_type", "team"),
            ("q", "x" * 101),
            ("q", "\0"),
        ],
    )
    def test_wrong_query(self, name: str, value: str, api: Api) -> None:
        """A wrong query parameter is 422 with its name."""
        error = api.error(api.get(URL, query_string={name: value}), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["page_size" if name == "size" else name]

    def test_size_twice(self, api: Api) -> None:
        """`size` and `page_size` that differ are refused."""
        answer = api.get(URL, query_string={"size": 1, "page_size": 2})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["size"]


class TestDelete:
    def test_everything_goes(self, api: Api) -> None:
        """With a tenant go its agents, keys, templates, settings, conversations and usage."""
        owner = factories.tenant(api)["id"]
        template = factories.template(api, tenant_id=owner)
        agents = [
            factories.agent(api, owner, template_id=template["id"], tags=["a", "b"])
            for _ in range(2)
        ]
        keys = [factories.api_key(api, agent) for agent in (*agents, agents[0])]
        factories.plugin_setting(api, owner)
        factories.plugin_setting(api, owner, agents[0]["id"])
        factories.usage(api, owner)
        factories.chat(api, agents[0])
        visit = {"user_id": "u", "agent_type": "human"}
        holder = {"Authorization": f"Bearer {keys[0]['api_key']}"}
        assert api.post("/api/v1/chat/sessions", visit, headers=holder).status_code == 200
        with time_machine.travel("2036-01-01T00:00:00Z", tick=False):
            deleted = api.data(api.delete(f"{URL}/{owner}"))
        assert deleted == {
            "id": owner,
            "tenant_id": owner,
            "deleted_at": "2036-01-01T00:00:00Z",
            "deleted": {
                "agents": 2,
                "agent_activity": 2,
                "agent_config_versions": 2,
                "agent_tags": 4,
                "agent_templates": 1,
                "api_keys": 3,
                "chat_messages": 2,
                "chat_monthly_use": 1,
                "chat_pending_replies": 0,
                "chat_sessions": 1,
                "chat_streams": 1,
                "contacts": 1,
                "conversation_messages": 1,
                "conversations": 1,
                "owed_replies": 0,
                "plugin_settings": 2,
                "staff_tenants": 0,
                "usage_records": 2,
                "webhook_deliveries": 0,
                "webhooks": 0,
            },
        }
        api.error(api.get(f"{URL}/{owner}"), 404, "TENANT_001")
        for agent in agents:
            api.error(api.get(f"/api/v2/agents/{agent['id']}"), 404, "AGENT_001")
        for key in keys:
            api.error(api.get(f"/api/v2/api-keys/{key['id']}"), 404, "KEY_001")
            check = api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
            api.error(check, 401, "AUTH_005")
        api.error(api.get(f"/api/v2/agent-templates/{template['id']}"), 404, "AGENT_003")

    def test_others_stay(self, api: Api) -> None:
        """Another tenant keeps what it has."""
        mine, other = factories.api_key(api), factories.api_key(api)
        api.data(api.delete(f"{URL}/{mine['tenant_id']}"))
        assert api.data(api.get(f"/api/v2/api-keys/{other['id']}")) == other

    def test_name_is_free_again(self, api: Api) -> None:
        """The name of a deleted tenant can be taken."""
        made = factories.tenant(api, tenant_name="one")
        api.data(api.delete(f"{URL}/{made['id']}"))
        assert factories.tenant(api, tenant_name="one")["id"] != made["id"]

    def test_twice(self, api: Api) -> None:
        """A second deletion is 404 TENANT_001."""
        made = factories.tenant(api)
        api.data(api.delete(f"{URL}/{made['id']}"))
        api.error(api.delete(f"{URL}/{made['id']}"), 404, "TENANT_001")

    def test_if_match(self, api: Api) -> None:
        """A tenant that somebody else changed is not deleted."""
        made = factories.tenant(api)
        etag = api.get(f"{URL}/{made['id']}").headers["ETag"]
        api.data(api.put(f"{URL}/{made['id']}", {"description": "new"}))
        stale = api.delete(f"{URL}/{made['id']}", headers={"If-Match": etag})
        api.error(stale, 412, "PRECONDITION_001")
        assert api.get(f"{URL}/{made['id']}").status_code == 200


class TestAudit:
    def test_create(self, api: Api) -> None:
        """A creation is kept with who, from where, by which request, and what came of it."""
        answer = api.post(URL, FULL, headers={"X-Request-ID": "req_of_the_caller"})
        made = api.data(answer)
        (entry,) = factories.audit_entries(api, resource=made["id"])
        assert entry["action"] == "tenant.create"
        assert (entry["resource_type"], entry["tenant_id"]) == ("tenant", made["id"])
        assert (entry["actor"], entry["address"]) == ("internal", "127.0.0.1")
        assert entry["request_id"] == "req_of_the_caller" == answer.headers["X-Request-ID"]
        assert entry["before"] is None
        assert entry["after"] == {**FULL, "status": "active", "permission_groups": {}}

    def test_change(self, api: Api) -> None:
        """Of a change what differs is kept, before and after."""
        made = factories.tenant(api, description="old")
        api.put(f"{URL}/{made['id']}", {"description": "new", "status": "active"})
        entry = factories.audit_entries(api, resource=made["id"])[0]
        assert entry["action"] == "tenant.update"
        assert (entry["before"], entry["after"]) == ({"description": "old"}, {"description": "new"})

    def test_delete(self, api: Api) -> None:
        """A deletion is kept with what the tenant was, and outlives it."""
        made = factories.tenant(api, description="gone")
        api.delete(f"{URL}/{made['id']}")
        entry = factories.audit_entries(api, tenant_id=made["id"])[0]
        assert (entry["action"], entry["after"]) == ("tenant.delete", None)
        assert entry["before"]["description"] == "gone"

    def test_refused(self, api: Api) -> None:
        """A change that is refused leaves no entry."""
        made = factories.tenant(api, tenant_name="one")
        api.post(URL, {"tenant_name": "one", "tenant_type": "personal"})
        api.put(f"{URL}/{made['id']}", {"status": "deleted"})
        api.put(f"{URL}/{made['id']}", {"description": "x"}, headers={"If-Match": '"99"'})
        assert [entry["action"] for entry in factories.audit_entries(api)] == ["tenant.create"]
