"""/api/v2/agents"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api

URL = "/api/v2/agents"
MASK = "********"


def masked_sample() -> dict[str, Any]:
    """The sample's configuration as it reads, its secrets masked."""
    config = factories.sample_agent()["config"]
    overrides = config["config_overrides"]
    overrides["maim_message"]["auth_token"] = [MASK]
    overrides["model"]["api_providers"][0] |= {"api_key": MASK, "base_url": MASK}
    return config


def names(api: Api, tenant_id: str, **query: Any) -> list[str]:
    """The names on the first page of a tenant's agents."""
    answer = api.get(URL, query_string={"tenant_id": tenant_id, **query})
    return [item["name"] for item in api.data(answer)["items"]]


class TestCreate:
    @time_machine.travel("2026-11-23T08:00:00Z", tick=False)
    def test_sample(self, api: Api) -> None:
        """The sample agent, which uses every section, reads to the letter, its secrets masked."""
        owner = factories.tenant(api)["id"]
        sample = factories.sample_agent()
        made = api.data(api.post(URL, {"tenant_id": owner, **sample}))
        assert made == {
            "id": made["id"],
            "agent_id": made["id"],
            "tenant_id": owner,
            "name": "售后小麦",
            "description": "一份用到每个配置段的样例",
            "template_id": None,
            "config": masked_sample(),
            "tags": ["客服", "售后"],
            "status": "active",
            "config_version": 1,
            "created_at": "2026-11-23T08:00:00Z",
            "updated_at": "2026-11-23T08:00:00Z",
        }
        assert made["id"].startswith("agent_")
        assert list(made["config"]) == list(sample["config"])

    def test_read_back(self, api: Api) -> None:
        """An agent that was created reads as it was answered."""
        made = factories.agent(api, **factories.sample_agent())
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    @pytest.mark.parametrize(
        "null", [{}, dict.fromkeys(("description", "template_id", "config", "tags"))]
    )
    def test_optional_fields(self, null: dict[str, None], api: Api) -> None:
        """Optional fields may be omitted or null."""
        made = factories.agent(api, **null)
        assert (made["description"], made["template_id"]) == (None, None)
        assert (made["config"], made["tags"]) == ({}, [])

    @pytest.mark.parametrize("field", ["tenant_id", "name"])
    @pytest.mark.parametrize("missing", [True, False])
    def test_required_fields(self, field: str, missing: bool, api: Api) -> None:
        """Tenant and name can be neither omitted nor null."""
        body = {"tenant_id": factories.tenant(api)["id"], "name": "a", field: None}
        if missing:
            del body[field]
        error = api.error(api.post(URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value", "path"),
        [
            ("name", "x" * 101, "name"),
            ("name", " ", "name"),
            ("description", 5, "description"),
            ("config", "persona", "config"),
            ("config", [], "config"),
            ("tags", "a", "tags"),
            ("tags", ["a"] * 51, "tags"),
            ("tags", ["a", ""], "tags.1"),
            ("tags", ["x" * 51], "tags.0"),
            ("tags", [1], "tags.0"),
            ("tags", [None], "tags.0"),
            ("status", "active", "status"),
        ],
    )
    def test_wrong_fields(self, field: str, value: Any, path: str, api: Api) -> None:
        """A field of the wrong type, size or form is 422 with its path."""
        owner = factories.tenant(api)["id"]
        body = {"tenant_id": owner, "name": "a", field: value}
        error = api.error(api.post(URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [path]
        assert names(api, owner) == []

    @pytest.mark.parametrize(
        ("config", "paths"),
        [
            (
                {"config_overrides": {"chat": {"max_context_size": "18"}}},
                ["config_overrides.chat.max_context_size"],
            ),
            (
                {
                    "persona": {"state_probability": 1.1},
                    "config_overrides": {"emoji": {"emoji_chance": -1}, "mood": []},
                },
                [
                    "config_overrides.emoji.emoji_chance",
                    "config_overrides.mood",
                    "persona.state_probability",
                ],
            ),
            (
                {"config_overrides": {"message_receive": {"ban_msgs_regex": ["ok", "("]}}},
                ["config_overrides.message_receive.ban_msgs_regex.1"],
            ),
            (
                {
                    "config_overrides": {
                        "model": {
                            "models": [
                                {"name": "m", "model_identifier": "m", "api_provider": "openai"}
                            ]
                        }
                    }
                },
                ["config_overrides.model.models.0.api_provider"],
            ),
        ],
    )
    def test_invalid_config(self, config: Any, paths: list[str], api: Api) -> None:
        """A known field of a wrong type or range is 422 AGENT_004 with the path of each."""
        owner = factories.tenant(api)["id"]
        answer = api.post(URL, {"tenant_id": owner, "name": "a", "config": config})
        error = api.error(answer, 422, "AGENT_004")
        assert sorted(error["details"]) == [f"config.{path}" for path in paths]
        assert names(api, owner) == []

    def test_unknown_tenant(self, api: Api) -> None:
        """An unknown tenant is 404 TENANT_001."""
        answer = api.post(URL, {"tenant_id": "tenant_nope", "name": "a"})
        api.error(answer, 404, "TENANT_001")

    def test_name_taken(self, api: Api) -> None:
        """A second agent of the name in the tenant is 409 AGENT_002; in another it is fine."""
        made = factories.agent(api, name="小麦")
        answer = api.post(URL, {"tenant_id": made["tenant_id"], "name": " 小麦"})
        api.error(answer, 409, "AGENT_002")
        assert factories.agent(api, name="小麦")["name"] == "小麦"

    def test_with_a_template(self, api: Api) -> None:
        """A template of the tenant, one for all, or a built-in one can be used."""
        owner = factories.tenant(api)["id"]
        own = factories.template(api, tenant_id=owner)["id"]
        common = factories.template(api)["id"]
        for template in (own, common, "tmpl_builtinfriendly"):
            made = factories.agent(api, owner, template_id=template)
            assert (made["template_id"], made["config"]) == (template, {})

    @pytest.mark.parametrize("foreign", [True, False])
    def test_unknown_template(self, foreign: bool, api: Api) -> None:
        """An unknown template, and one of another tenant, is 404 AGENT_003."""
        template = "tmpl_nope"
        if foreign:
            template = factories.template(api, tenant_id=factories.tenant(api)["id"])["id"]
        owner = factories.tenant(api)["id"]
        answer = api.post(URL, {"tenant_id": owner, "name": "a", "template_id": template})
        api.error(answer, 404, "AGENT_003")
        assert names(api, owner) == []

    def test_tags_of_the_config(self, api: Api) -> None:
        """Without tags of its own an agent has those of its configuration."""
        config = {"tags": ["客服", "售后", "客服"]}
        made = factories.agent(api, config=config)
        assert (made["tags"], made["config"]) == (["客服", "售后"], config)
        own = factories.agent(api, config=config, tags=["b", "a", "b"])
        assert own["tags"] == ["b", "a"]

    @time_machine.travel("2026-11-23T08:00:00Z", tick=False)
    def test_active_for_12_hours(self, api: Api) -> None:
        """A new agent is reported active for 12 hours."""
        made = factories.agent(api)
        query = {"tenant_id": made["tenant_id"]}
        (beat,) = api.data(api.get("/api/v2/agent-activity", query_string=query))["items"]
        assert beat == {
            "tenant_id": made["tenant_id"],
            "agent_id": made["id"],
            "last_seen_at": "2026-11-23T08:00:00Z",
            "expires_at": "2026-11-23T20:00:00Z",
            "ttl_seconds": 43200,
        }


class TestChange:
    def test_all_fields(self, api: Api) -> None:
        """A change of every field is answered, and read back; the configuration is merged."""
        made = factories.agent(api, config={"a": {"x": 1, "y": 2}, "b": [1]}, tags=["old"])
        changes = {
            "name": "新名字",
            "description": "新的",
            "template_id": "tmpl_builtinexpert",
            "status": "archived",
            "tags": ["new", "客服"],
        }
        with time_machine.travel("2036-01-01T00:00:00Z", tick=False):
            patch = {"a": {"x": None, "z": 3}, "b": [2]}
            changed = api.data(api.put(f"{URL}/{made['id']}", {**changes, "config": patch}))
        assert changed == {
            **made,
            **changes,
            "config": {"a": {"y": 2, "z": 3}, "b": [2]},
            "config_version": 2,
            "updated_at": "2036-01-01T00:00:00Z",
        }
        assert api.data(api.get(f"{URL}/{made['id']}")) == changed

    @pytest.mark.parametrize("body", [{}, None, {"config": {}}, {"tags": []}])
    def test_empty(self, body: Any, api: Api) -> None:
        """An empty body changes nothing and succeeds."""
        made = factories.agent(api, config={"a": 1})
        assert api.data(api.put(f"{URL}/{made['id']}", body)) == made
        actions = [entry["action"] for entry in factories.audit_entries(api, resource="agent")]
        assert actions == ["agent.create"]

    def test_null(self, api: Api) -> None:
        """Null empties what may be empty and leaves the rest as it is."""
        made = factories.agent(
            api, description="x", template_id="tmpl_builtinexpert", config={"a": 1}, tags=["a"]
        )
        fields = ("name", "description", "config", "template_id", "status", "tags")
        changed = api.data(api.put(f"{URL}/{made['id']}", dict.fromkeys(fields)))
        emptied = {"description": None, "template_id": None}
        assert changed == {**made, **emptied, "updated_at": changed["updated_at"]}

    @pytest.mark.parametrize("field", ["tenant_id", "id", "config_version"])
    def test_fixed_fields(self, field: str, api: Api) -> None:
        """What the contract doesn't list can't be changed."""
        made = factories.agent(api)
        answer = api.put(f"{URL}/{made['id']}", {field: made["tenant_id"]})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [field]

    @pytest.mark.parametrize(
        ("field", "value"), [("status", "suspended"), ("name", ""), ("tags", {})]
    )
    def test_wrong_fields(self, field: str, value: Any, api: Api) -> None:
        """A wrong field is 422 with its name."""
        made = factories.agent(api)
        answer = api.put(f"{URL}/{made['id']}", {field: value})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [field]

    def test_name_taken(self, api: Api) -> None:
        """The name of another agent of the tenant is 409 AGENT_002; its own name is fine."""
        one = factories.agent(api, name="one")
        two = factories.agent(api, one["tenant_id"], name="two")
        api.error(api.put(f"{URL}/{two['id']}", {"name": "one"}), 409, "AGENT_002")
        assert api.data(api.put(f"{URL}/{two['id']}", {"name": "two"})) == two

    @pytest.mark.parametrize("foreign", [True, False])
    def test_unknown_template(self, foreign: bool, api: Api) -> None:
        """An unknown template, and one of another tenant, is 404 AGENT_003."""
        template = "tmpl_nope"
        if foreign:
            template = factories.template(api, tenant_id=factories.tenant(api)["id"])["id"]
        made = factories.agent(api)
        answer = api.put(f"{URL}/{made['id']}", {"template_id": template, "description": "x"})
        api.error(answer, 404, "AGENT_003")
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    def test_invalid_config(self, api: Api) -> None:
        """A merged configuration that is wrong is 422 AGENT_004 with the path, and nothing of
        the change is made."""
        made = factories.agent(api, config={"config_overrides": {"mood": {"enable_mood": True}}})
        patch = {"config_overrides": {"mood": {"enable_mood": "on"}}}
        answer = api.put(f"{URL}/{made['id']}", {"name": "new", "config": patch})
        error = api.error(answer, 422, "AGENT_004")
        assert list(error["details"]) == ["config.config_overrides.mood.enable_mood"]
        assert api.data(api.get(f"{URL}/{made['id']}")) == made

    def test_status_takes_effect_at_once(self, api: Api) -> None:
        """The keys of an agent that isn't active don't validate, from the next check on."""
        key = factories.api_key(api)
        path, body = f"{URL}/{key['agent_id']}", {"api_key": key["api_key"]}
        found = []
        for status in ("inactive", "archived", "active"):
            api.data(api.put(path, {"status": status}))
            answer = api.post("/api/v2/auth/validate-api-key", body)
            found.append((answer.status_code, answer.get_json().get("error_code")))
        assert found == [(403, "AGENT_005"), (403, "AGENT_005"), (200, None)]

    def test_if_match(self, api: Api) -> None:
        """A change from an old ETag is refused with 412, one from the present ETag is made."""
        path = f"{URL}/{factories.agent(api)['id']}"
        old = api.get(path).headers["ETag"]
        first = api.put(path, {"tags": ["1"]}, headers={"If-Match": old})
        assert first.headers["ETag"] != old
        api.error(api.put(path, {}, headers={"If-Match": old}), 412, "PRECONDITION_001")
        api.data(api.put(path, {"tags": ["2"]}, headers={"If-Match": first.headers["ETag"]}))


class TestUnknown:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PUT", "", {}),
            ("DELETE", "", None),
            ("GET", "/config", None),
            ("PUT", "/config", {}),
            ("GET", "/config/effective", None),
            ("GET", "/config/versions", None),
            ("GET", "/config/versions/1", None),
            ("GET", "/config/versions/1/diff?to=2", None),
            ("POST", "/config/rollback", {"version": 1}),
            ("POST", "/clone", {"name": "b"}),
        ],
    )
    def test_unknown(self, method: str, path: str, body: Any, api: Api) -> None:
        """An unknown agent is 404 AGENT_001."""
        api.error(api.call(method, f"{URL}/agent_nope{path}", json=body), 404, "AGENT_001")


class TestList:
    def test_newest_first(self, api: Api) -> None:
        """The agents of a tenant, and only they, are listed newest first, each whole."""
        owner = factories.tenant(api)["id"]
        factories.agent(api)
        made = [factories.agent(api, owner, **factories.sample_agent())]
        made += [factories.agent(api, owner, name=name) for name in "bc"]
        found = api.data(api.get(URL, query_string={"tenant_id": owner}))
        assert found["items"] == made[::-1]
        assert found["pagination"]["total"] == 3

    def test_pages(self, api: Api) -> None:
        """Pages of the same moment neither lose nor repeat an agent."""
        owner = factories.tenant(api)["id"]
        with time_machine.travel("2026-11-23T08:00:00Z", tick=False):
            made = {factories.agent(api, owner)["name"] for _ in range(5)}
        pages = [names(api, owner, page=page, page_size=2) for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [2, 2, 1, 0]
        assert {name for page in pages for name in page} == made

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"status": "active"}, ["Gamma", "alpha"]),
            ({"status": "inactive"}, ["beta"]),
            ({"status": "archived"}, []),
            ({"tag": "客服"}, ["beta", "alpha"]),
            ({"tag": "售后"}, ["Gamma", "alpha"]),
            ({"tag": "客"}, []),
            ({"tag": "none"}, []),
            ({"q": "A"}, ["Gamma", "beta", "alpha"]),
            ({"q": "50%_"}, []),
            ({"q": "eta", "tag": "客服", "status": "inactive"}, ["beta"]),
            ({"q": "eta", "tag": "客服", "status": "active"}, []),
            ({"tag": "售后", "q": "GAMMA"}, ["Gamma"]),
            ({"tag": "客服", "page_size": "1"}, ["beta"]),
        ],
    )
    def test_filters(self, query: dict[str, str], found: list[str], api: Api) -> None:
        """Filters work alone and together; the total counts what they let through."""
        owner = factories.tenant(api)["id"]
        factories.agent(api, name="alpha", tags=["客服"])
        factories.agent(api, owner, name="alpha", tags=["客服", "售后"])
        beta = factories.agent(api, owner, name="beta", tags=["客服"])
        api.put(f"{URL}/{beta['id']}", {"status": "inactive"})
        factories.agent(api, owner, name="Gamma", tags=["售后"])
        answer = api.data(api.get(URL, query_string={"tenant_id": owner, **query}))
        assert [item["name"] for item in answer["items"]] == found
        assert answer["pagination"]["total"] == (2 if "page_size" in query else len(found))

    @pytest.mark.parametrize(
        ("q", "found"),
        [("50%_", ["50%_"]), ("_", ["50%_"]), ("É", ["é"]), ("e\u0301", ["é"]), ("e", [])],
    )
    def test_search_is_literal(self, q: str, found: list[str], api: Api) -> None:
        """A search takes %, _ and accents literally, and ignores case."""
        owner = factories.tenant(api)["id"]
        for name in ("50%_", "50 x", "é"):
            factories.agent(api, owner, name=name)
        assert names(api, owner, q=q) == found

    def test_tags_follow_changes(self, api: Api) -> None:
        """An agent is found by the tags that it has now."""
        made = factories.agent(api, name="a", tags=["old", "kept"])
        owner = made["tenant_id"]
        api.data(api.put(f"{URL}/{made['id']}", {"tags": ["kept", "new"]}))
        found = [names(api, owner, tag=tag) for tag in ("old", "kept", "new")]
        assert found == [[], ["a"], ["a"]]

    @pytest.mark.parametrize("tag", ["A", "e"])
    def test_tags_are_compared_exactly(self, tag: str, api: Api) -> None:
        """Tags differ in case and accents."""
        made = factories.agent(api, tags=["a", "é"])
        assert names(api, made["tenant_id"], tag=tag) == []

    def test_tenant_is_required(self, api: Api) -> None:
        """Agents are listed by tenant: none named is 422, an unknown one 404 TENANT_001."""
        assert list(api.error(api.get(URL), 422, "VALIDATION_ERROR")["details"]) == ["tenant_id"]
        answer = api.get(URL, query_string={"tenant_id": "tenant_nope"})
        api.error(answer, 404, "TENANT_001")

    @pytest.mark.parametrize(
        ("name", "value"), [("status", "suspended"), ("tag", ""), ("tag", "x" * 51), ("page", "x")]
    )
    def test_wrong_query(self, name: str, value: str, api: Api) -> None:
        """A wrong query parameter is 422 with its name."""
        query = {"tenant_id": factories.tenant(api)["id"], name: value}
        error = api.error(api.get(URL, query_string=query), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [name]


class TestDelete:
    @time_machine.travel("2026-11-23T08:00:00Z", tick=False)
    def test_what_goes_with_it(self, api: Api) -> None:
        """With an agent go its keys, heart-beat, versions, tags and plugin settings."""
        agent = factories.agent(api, name="a", tags=["a"])
        owner = agent["tenant_id"]
        key = factories.api_key(api, agent)
        factories.plugin_setting(api, owner, plugin_name="of the tenant")
        factories.plugin_setting(api, owner, agent["id"], plugin_name="of the agent")
        assert api.data(api.delete(f"{URL}/{agent['id']}")) == {
            "id": agent["id"],
            "agent_id": agent["id"],
            "deleted_at": "2026-11-23T08:00:00Z",
        }
        api.error(api.get(f"{URL}/{agent['id']}"), 404, "AGENT_001")
        api.error(api.get(f"/api/v2/api-keys/{key['id']}"), 404, "KEY_001")
        check = api.post("/api/v2/auth/validate-api-key", {"api_key": key["api_key"]})
        api.error(check, 401, "AUTH_005")
        query = {"tenant_id": owner}
        assert api.data(api.get("/api/v2/agent-activity", query_string=query))["count"] == 0
        (setting,) = api.get("/api/v1/plugins/settings", query_string=query).get_json()
        assert setting["plugin_name"] == "of the tenant"
        assert names(api, owner, tag="a") == []

    def test_name_is_free_again(self, api: Api) -> None:
        """The name of a deleted agent can be taken."""
        made = factories.agent(api, name="a")
        api.data(api.delete(f"{URL}/{made['id']}"))
        again = factories.agent(api, made["tenant_id"], name="a")
        assert again["id"] != made["id"]

    def test_twice(self, api: Api) -> None:
        """A second deletion is 404 AGENT_001."""
        made = factories.agent(api)
        api.data(api.delete(f"{URL}/{made['id']}"))
        api.error(api.delete(f"{URL}/{made['id']}"), 404, "AGENT_001")

    def test_if_match(self, api: Api) -> None:
        """An agent that somebody else changed is not deleted."""
        path = f"{URL}/{factories.agent(api)['id']}"
        etag = api.get(path).headers["ETag"]
        api.data(api.put(path, {"description": "new"}))
        api.error(api.delete(path, headers={"If-Match": etag}), 412, "PRECONDITION_001")
        assert api.get(path).status_code == 200


class TestClone:
    def test_same_tenant(self, api: Api) -> None:
        """A clone has all but name and id of the agent, secrets included."""
        source = factories.agent(api, **factories.sample_agent(), template_id="tmpl_builtinexpert")
        api.put(f"{URL}/{source['id']}", {"status": "archived", "config": {"more": 1}})
        made = api.data(api.post(f"{URL}/{source['id']}/clone", {"name": "zwei"}))
        fresh = {name: made[name] for name in ("id", "agent_id", "created_at", "updated_at")}
        assert made["id"] != source["id"]
        assert made == {
            **source,
            **fresh,
            "name": "zwei",
            "config": {**source["config"], "more": 1},
            "config_version": 1,
        }
        assert names(api, source["tenant_id"], tag="客服") == ["zwei", source["name"]]

    def test_other_tenant(self, api: Api) -> None:
        """An agent can be cloned into another tenant, under the same name."""
        source = factories.agent(api, name="a", config={"x": 1})
        other = factories.tenant(api)["id"]
        path = f"{URL}/{source['id']}/clone"
        made = api.data(api.post(path, {"name": "a", "tenant_id": other}))
        assert (made["tenant_id"], made["config"]) == (other, {"x": 1})
        assert names(api, other) == ["a"]

    def test_independent(self, api: Api) -> None:
        """A change of the clone doesn't change the agent it was made from."""
        source = factories.agent(api, config={"x": {"y": 1}}, tags=["a"])
        made = api.data(api.post(f"{URL}/{source['id']}/clone", {"name": "b"}))
        api.data(api.put(f"{URL}/{made['id']}", {"config": {"x": {"y": 2}}, "tags": ["b"]}))
        assert api.data(api.get(f"{URL}/{source['id']}")) == source

    def test_template_of_the_tenant(self, api: Api) -> None:
        """An agent whose template another tenant can't use is 404 AGENT_003 there."""
        owner = factories.tenant(api)["id"]
        template = factories.template(api, tenant_id=owner)["id"]
        source = factories.agent(api, owner, template_id=template)
        path = f"{URL}/{source['id']}/clone"
        assert api.data(api.post(path, {"name": "b"}))["template_id"] == template
        other = factories.tenant(api)["id"]
        api.error(api.post(path, {"name": "b", "tenant_id": other}), 404, "AGENT_003")

    def test_refusals(self, api: Api) -> None:
        """A clone is refused for the same reasons as a creation."""
        source = factories.agent(api, name="a")
        path = f"{URL}/{source['id']}/clone"
        api.error(api.post(path, {"name": "a"}), 409, "AGENT_002")
        api.error(api.post(path, {"name": "b", "tenant_id": "tenant_nope"}), 404, "TENANT_001")
        assert list(api.error(api.post(path, {}), 422, "VALIDATION_ERROR")["details"]) == ["name"]

    def test_null_tenant(self, api: Api) -> None:
        """Without a tenant the clone stays in the same."""
        source = factories.agent(api)
        body = {"name": "b", "tenant_id": None}
        made = api.data(api.post(f"{URL}/{source['id']}/clone", body))
        assert made["tenant_id"] == source["tenant_id"]


class TestAudit:
    def test_create(self, api: Api) -> None:
        """A creation is kept with the agent, its secrets masked."""
        made = factories.agent(api, **factories.sample_agent())
        (entry,) = factories.audit_entries(api, resource=made["id"])
        assert (entry["action"], entry["tenant_id"]) == ("agent.create", made["tenant_id"])
        assert entry["after"]["config"] == masked_sample()
        assert entry["after"]["tags"] == ["客服", "售后"]

    def test_change(self, api: Api) -> None:
        """Of a change what differs is kept, before and after, secrets masked."""
        made = factories.agent(api, config=factories.providers(factories.provider()))
        changed = {"config_overrides": {"model": {"api_providers": [factories.provider("b")]}}}
        api.data(api.put(f"{URL}/{made['id']}", {"description": "x", "config": changed}))
        entry = factories.audit_entries(api, resource=made["id"])[0]
        assert entry["action"] == "agent.update"
        assert set(entry["before"]) == {"description", "config", "config_version"}
        assert entry["after"]["config_version"] == 2
        (provider,) = entry["after"]["config"]["config_overrides"]["model"]["api_providers"]
        assert provider == {"name": "b", "base_url": MASK, "api_key": MASK}

    def test_clone(self, api: Api) -> None:
        """A clone is kept as the creation that it is."""
        source = factories.agent(api, **factories.sample_agent())
        made = api.data(api.post(f"{URL}/{source['id']}/clone", {"name": "b"}))
        (entry,) = factories.audit_entries(api, resource=made["id"])
        assert entry["action"] == "agent.create"
        assert entry["after"]["config"] == masked_sample()

    def test_delete(self, api: Api) -> None:
        """A deletion is kept with what the agent was."""
        made = factories.agent(api, description="gone")
        api.data(api.delete(f"{URL}/{made['id']}"))
        entry = factories.audit_entries(api, resource=made["id"])[0]
        assert (entry["action"], entry["after"]) == ("agent.delete", None)
        assert entry["before"]["description"] == "gone"


def test_wrong_configuration_in_english(api: Api) -> None:
    """Who asks for English reads in English what is wrong with a configuration."""
    agent = factories.agent(api)
    answer = api.put(
        f"{URL}/{agent['id']}/config",
        {"config_overrides": {"chat": {"max_context_size": 0}}},
        headers={"Accept-Language": "en"},
    )
    path = "config_overrides.chat.max_context_size"
    refused = api.error(answer, 422, "AGENT_004")
    assert refused["error"] == f"{path}: Must be between 1 and 1000"
    assert refused["details"] == {path: ["Must be between 1 and 1000"]}
