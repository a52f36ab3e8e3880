"""/api/v1/agents: a user's own agents and their keys"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import Person

URL = "/api/v1/agents/"
VALIDATE = "/api/v2/auth/validate-api-key"
PROVIDER = {"name": "own", "base_url": "https://llm.example.com/v1", "api_key": "sk-canary"}


@pytest.fixture
def alice(public: Api) -> Person:
    """Somebody with a personal tenant."""
    return users.person(public, username="alice")


@pytest.fixture
def agent(alice: Person) -> dict[str, Any]:
    """An agent of hers."""
    return alice.made(URL, {"name": "小麦"})


@pytest.fixture
def keys(agent: dict[str, Any]) -> str:
    """Where the agent's keys are."""
    return f"{URL}{agent['id']}/api_keys"


def names(who: Person, **query: Any) -> list[str]:
    """The names of somebody's agents, as they are listed."""
    return [found["name"] for found in who.found(URL, query_string=query)]


class TestAgents:
    def test_create(self, alice: Person, api: Api) -> None:
        """An agent comes into the caller's first tenant; services see the same one."""
        body = {
            "name": "小麦",
            "description": "售后",
            "config": {"persona": "你是一个客服"},
            "tags": ["a"],
        }
        made = alice.made(URL, body)
        (tenant,) = alice.found("/api/v1/tenants/")
        assert made.pop("id").startswith("agent_")
        assert made.pop("config")["persona"] == "你是一个客服"
        assert made == {
            "name": "小麦",
            "description": "售后",
            "tags": ["a"],
            "tenant_id": tenant["id"],
            "template_id": None,
            "status": "active",
        }
        (seen,) = api.data(api.get("/api/v2/agents", query_string={"tenant_id": tenant["id"]}))[
            "items"
        ]
        assert seen["name"] == "小麦"

    def test_in_another_tenant(self, alice: Person) -> None:
        """A tenant that is named gets the agent, when it is the caller's own."""
        second = alice.made("/api/v1/tenants/", {"tenant_name": "second"})
        made = alice.made(URL, {"name": "a", "tenant_id": second["id"]})
        assert made["tenant_id"] == second["id"]

    def test_in_anothers_tenant(self, alice: Person, public: Api) -> None:
        """Another's tenant is as unknown as none."""
        (other,) = users.person(public).found("/api/v1/tenants/")
        for tenant_id in (other["id"], "tenant_nope"):
            answer = alice.post(URL, {"name": "a", "tenant_id": tenant_id})
            public.error(answer, 404, "TENANT_001")

    def test_without_a_tenant(self, alice: Person, api: Api, public: Api) -> None:
        """Who has lost the last tenant is told so."""
        (tenant,) = alice.found("/api/v1/tenants/")
        api.data(api.delete(f"/api/v2/tenants/{tenant['id']}"))
        public.error(alice.post(URL, {"name": "a"}), 404, "TENANT_001")
        assert names(alice) == []

    def test_list(self, alice: Person, public: Api) -> None:
        """The agents of all of the caller's tenants are listed, newest first, and no other's."""
        second = alice.made("/api/v1/tenants/", {"tenant_name": "second"})["id"]
        users.person(public).made(URL, {"name": "bob's"})
        for name, where in (("a", None), ("b", second), ("c", None)):
            alice.made(URL, {"name": name, "tenant_id": where})
        assert names(alice) == ["c", "b", "a"]
        assert names(alice, skip=1, limit=1) == ["b"]
        assert names(alice, skip=3) == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [("skip", "-1"), ("skip", "x"), ("limit", "0"), ("limit", "101"), ("limit", "9" * 30)],
    )
    def test_wrong_query(self, name: str, value: str, alice: Person, public: Api) -> None:
        """A wrong query parameter is 422 with its name."""
        answer = alice.get(URL, query_string={name: value})
        assert list(public.error(answer, 422, "VALIDATION_ERROR")["details"]) == [name]

    def test_change(self, alice: Person, agent: dict[str, Any]) -> None:
        """A change is merged into the configuration, and shown by the next read."""
        url = f"{URL}{agent['id']}"
        alice.call("PUT", url, {"config": {"persona": "a", "bot_overrides": {"nickname": "n"}}})
        body = {"name": "new", "status": "inactive", "config": {"persona": "b"}}
        changed = users.plain(alice.put(url, body))
        assert (changed["name"], changed["status"]) == ("new", "inactive")
        assert changed["config"]["persona"] == "b"
        assert changed["config"]["bot_overrides"] == {"nickname": "n"}
        assert alice.found(url) == changed

    def test_secrets_are_masked(self, alice: Person) -> None:
        """A provider's key is never shown again, not to its owner either."""
        config = {"config_overrides": {"model": {"api_providers": [PROVIDER]}}}
        made = alice.post(URL, {"name": "a", "config": config})
        for answer in (made, alice.get(URL), alice.get(f"{URL}{users.plain(made)['id']}")):
            assert answer.status_code == 200
            assert "sk-canary" not in answer.get_data(as_text=True)
            assert "********" in answer.get_data(as_text=True)

    def test_etag(self, alice: Person, agent: dict[str, Any], public: Api) -> None:
        """A lost update is refused; what hasn't changed isn't sent again."""
        url = f"{URL}{agent['id']}"
        etag = alice.get(url).headers["ETag"]
        assert alice.get(url, headers={"If-None-Match": etag}).status_code == 304
        alice.put(url, {"description": "1"}, headers={"If-Match": etag})
        stale = {"If-Match": etag}
        public.error(alice.put(url, {"description": "2"}, headers=stale), 412, "PRECONDITION_001")
        public.error(alice.delete(url, headers=stale), 412, "PRECONDITION_001")
        assert alice.found(url)["description"] == "1"

    def test_delete(self, alice: Person, agent: dict[str, Any], api: Api, public: Api) -> None:
        """A deletion is 204, takes the keys along, and is 404 the second time."""
        key = alice.made(f"{URL}{agent['id']}/api_keys", {"name": "k"})
        answer = alice.delete(f"{URL}{agent['id']}")
        assert (answer.status_code, answer.data) == (204, b"")
        public.error(alice.delete(f"{URL}{agent['id']}"), 404, "AGENT_001")
        api.error(api.post(VALIDATE, {"api_key": key["api_key"]}), 401, "AUTH_005")

    def test_name_taken(self, alice: Person, agent: dict[str, Any], public: Api) -> None:
        """Two agents of a tenant don't share a name."""
        public.error(alice.post(URL, {"name": agent["name"]}), 409, "AGENT_002")
        other = alice.made(URL, {"name": "other"})
        taken = alice.put(f"{URL}{other['id']}", {"name": agent["name"]})
        public.error(taken, 409, "AGENT_002")

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_trailing_slash(
        self, slash: str, alice: Person, agent: dict[str, Any], keys: str
    ) -> None:
        """Every path answers with and without the trailing slash, without a redirect."""
        assert alice.found(URL.rstrip("/") + slash) == [agent]
        assert alice.found(f"{URL}{agent['id']}{slash}") == agent
        assert alice.found(f"{keys}{slash}") == []
        alice.made(URL.rstrip("/") + slash, {"name": "new"})
        key = alice.made(f"{keys}{slash}", {"name": "k"})
        assert alice.put(f"{URL}{agent['id']}{slash}", {}).status_code == 200
        assert alice.delete(f"{keys}/{key['id']}{slash}").status_code == 204
        assert alice.delete(f"{URL}{agent['id']}{slash}").status_code == 204

    def test_audit(self, alice: Person, agent: dict[str, Any], api: Api) -> None:
        """The audit log keeps which user did it."""
        (entry,) = factories.audit_entries(api, resource=agent["id"])
        assert (entry["action"], entry["actor"]) == ("agent.create", alice.id)


class TestKeys:
    def test_create(self, alice: Person, agent: dict[str, Any], keys: str, api: Api) -> None:
        """A key is shown in full and works."""
        made = alice.made(keys, {"name": "k", "description": "d", "permissions": ["chat"]})
        checked = api.data(api.post(VALIDATE, {"api_key": made["api_key"]}))
        assert checked["agent_id"] == agent["id"]
        assert made.pop("id").startswith("key_")
        assert made.pop("api_key").startswith("mmc_")
        assert made.pop("created_at").endswith("Z")
        assert made == {
            "tenant_id": agent["tenant_id"],
            "agent_id": agent["id"],
            "name": "k",
            "description": "d",
            "permissions": ["chat"],
            "status": "active",
            "last_used_at": None,
            "expires_at": None,
        }

    def test_list(self, alice: Person, keys: str) -> None:
        """The keys of an agent are listed newest first, and not those of its siblings."""
        made = [alice.made(keys, {"name": name}) for name in "ab"]
        sibling = alice.made(URL, {"name": "sibling"})["id"]
        alice.made(f"{URL}{sibling}/api_keys", {"name": "c"})
        assert alice.found(keys) == made[::-1]

    def test_nobody_stores(self, alice: Person, keys: str) -> None:
        """Answers with keys in full are stored by no cache, the browser's neither."""
        answers = [alice.post(keys, {"name": "k"}), alice.get(keys)]
        assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 2

    def test_masked(self, public_with: Callable[..., Api], alice: Person, keys: str) -> None:
        """With MAIMCONFIG_REVEAL_API_KEYS=false only the creation shows a key in full."""
        alice.api = public_with(reveal_api_keys=False)
        made = alice.made(keys, {"name": "k"})
        (listed,) = alice.found(keys)
        assert "…" in listed["api_key"]
        assert "…" not in made["api_key"]

    def test_delete(self, alice: Person, keys: str, api: Api, public: Api) -> None:
        """A deleted key is gone at once, and 404 the second time."""
        made = alice.made(keys, {"name": "k"})
        answer = alice.delete(f"{keys}/{made['id']}")
        assert (answer.status_code, answer.data) == (204, b"")
        public.error(alice.delete(f"{keys}/{made['id']}"), 404, "KEY_001")
        api.error(api.post(VALIDATE, {"api_key": made["api_key"]}), 401, "AUTH_005")

    def test_of_another_agent(self, alice: Person, keys: str, public: Api) -> None:
        """A key isn't deleted by way of an agent that it isn't of, not even the caller's own."""
        made = alice.made(keys, {"name": "k"})
        sibling = alice.made(URL, {"name": "sibling"})["id"]
        wrong = alice.delete(f"{URL}{sibling}/api_keys/{made['id']}")
        public.error(wrong, 404, "KEY_001")
        assert alice.found(keys) == [made]

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("name", "", "VALIDATION_ERROR"),
            ("permissions", ["no such"], "KEY_005"),
            ("permissions", "chat", "VALIDATION_ERROR"),
            ("expires_at", "2020-01-01T00:00:00Z", "VALIDATION_ERROR"),
            ("api_key", "mmc_mine", "VALIDATION_ERROR"),
        ],
    )
    def test_wrong_fields(
        self, field: str, value: Any, code: str, alice: Person, keys: str, public: Api
    ) -> None:
        """A wrong field is 422."""
        public.error(alice.post(keys, {"name": "k", field: value}), 422, code)
        assert alice.found(keys) == []
