"""/api/v2/agents/{id}/config and what a runtime uses of it"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maimconfig.agents import config_fields
from tests import factories
from tests.api import Api

MASK = "********"
EMPTY = {"persona": {}, "bot_overrides": {}, "config_overrides": {}}


def url(agent: dict[str, Any], rest: str = "") -> str:
    """Where an agent's configuration is."""
    return f"/api/v2/agents/{agent['id']}/config{rest}"


def providers_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The custom providers of a configuration."""
    return config["config_overrides"]["model"]["api_providers"]


class TestGet:
    def test_sections_are_always_there(self, api: Api) -> None:
        """persona, bot_overrides and config_overrides are there, also when nothing is stored."""
        assert api.data(api.get(url(factories.agent(api)))) == EMPTY

    def test_plain_persona(self, api: Api) -> None:
        """A persona that is a text is kept as given."""
        agent = factories.agent(api, config={"persona": "一只猫", "extra": None})
        found = api.data(api.get(url(agent)))
        assert found == {**EMPTY, "persona": "一只猫", "extra": None}

    def test_not_modified(self, api: Api) -> None:
        """An ETag of the same revision answers 304 without a body."""
        agent = factories.agent(api)
        etag = api.get(url(agent)).headers["ETag"]
        again = api.get(url(agent), headers={"If-None-Match": etag})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)


class TestMerge:
    def test_rfc_7396(self, api: Api) -> None:
        """Objects are merged deep, arrays replaced, null deletes; the answer is the result."""
        agent = factories.agent(
            api,
            config={
                "persona": {"personality": "猫", "interest": "鱼", "states": ["a", "b"]},
                "config_overrides": {"mood": {"enable_mood": True}},
                "own": {"keep": 1, "drop": 2},
            },
        )
        patch = {
            "persona": {"interest": "鸟", "states": ["c"]},
            "config_overrides": {"mood": None, "voice": {"enable_asr": True}},
            "own": {"drop": None, "add": {"deep": None, "er": 1.0}},
        }
        changed = api.data(api.put(url(agent), patch))
        assert changed == {
            "persona": {"personality": "猫", "interest": "鸟", "states": ["c"]},
            "bot_overrides": {},
            "config_overrides": {"voice": {"enable_asr": True}},
            "own": {"keep": 1, "add": {"er": 1.0}},
        }
        assert api.data(api.get(url(agent))) == changed

    @pytest.mark.parametrize("mode", ["", "?mode=merge"])
    @pytest.mark.parametrize("body", [{}, None])
    def test_empty(self, mode: str, body: Any, api: Api) -> None:
        """An empty body changes nothing, and makes no revision."""
        agent = factories.agent(api, config={"persona": "猫"})
        assert api.data(api.put(url(agent, mode), body)) == {**EMPTY, "persona": "猫"}
        assert api.data(api.get(f"/api/v2/agents/{agent['id']}")) == agent

    @pytest.mark.parametrize("value", [True, 1.0, "1", [1], {"a": 1}])
    def test_type_counts(self, value: Any, api: Api) -> None:
        """A value that differs only in its type is a change."""
        agent = factories.agent(api, config={"own": 1})
        api.data(api.put(url(agent), {"own": value}))
        assert repr(api.data(api.get(url(agent)))["own"]) == repr(value)

    def test_counts_a_revision(self, api: Api) -> None:
        """Each change has the next number."""
        agent = factories.agent(api)
        for number in range(2, 5):
            api.data(api.put(url(agent), {"own": number}))
            assert api.data(api.get(f"/api/v2/agents/{agent['id']}"))["config_version"] == number

    def test_if_match(self, api: Api) -> None:
        """A change from an old ETag, of the agent or of its configuration, is 412."""
        agent = factories.agent(api)
        old = {"If-Match": api.get(url(agent)).headers["ETag"]}
        fresh = {"If-Match": api.put(url(agent), {"a": 1}, headers=old).headers["ETag"]}
        api.error(api.put(url(agent), {"a": 2}, headers=old), 412, "PRECONDITION_001")
        api.data(api.put(f"/api/v2/agents/{agent['id']}", {"description": "x"}, headers=fresh))
        api.error(api.put(url(agent), {"a": 3}, headers=fresh), 412, "PRECONDITION_001")

    @pytest.mark.parametrize("body", [[], "text", 5, True])
    def test_not_an_object(self, body: Any, api: Api) -> None:
        """A configuration that is no object is 422."""
        api.error(api.put(url(factories.agent(api)), body), 422, "VALIDATION_ERROR")

    def test_unknown_mode(self, api: Api) -> None:
        """A mode is merge or replace."""
        answer = api.put(url(factories.agent(api), "?mode=append"), {})
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["mode"]

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_invalid(self, mode: str, api: Api) -> None:
        """A wrong field is 422 AGENT_004 with its path, and nothing is changed."""
        agent = factories.agent(api, config={"persona": "猫"})
        wrong = {"config_overrides": {"chat": {"planner_size": 11}, "tool": {"enable_tool": 1}}}
        error = api.error(api.put(url(agent, f"?mode={mode}"), wrong), 422, "AGENT_004")
        assert sorted(error["details"]) == [
            "config_overrides.chat.planner_size",
            "config_overrides.tool.enable_tool",
        ]
        assert api.data(api.get(f"/api/v2/agents/{agent['id']}")) == agent

    def test_audit(self, api: Api) -> None:
        """A change is kept with the numbers of its revisions, which have the rest."""
        agent = factories.agent(api)
        api.data(api.put(url(agent), {"persona": "猫"}))
        entry = factories.audit_entries(api, resource=agent["id"])[0]
        assert (entry["action"], entry["tenant_id"]) == ("agent.config", agent["tenant_id"])
        assert entry["before"]["config_version"] == 1
        assert entry["after"] == {"config_version": 2, "action": "update"}


class TestReplace:
    def test_everything(self, api: Api) -> None:
        """Replacing leaves nothing of the old configuration, and null is kept to the letter."""
        agent = factories.agent(api, config={"persona": {"interest": "鱼"}, "own": 1})
        changed = api.data(api.put(url(agent, "?mode=replace"), {"other": {"a": None}}))
        assert changed == {**EMPTY, "other": {"a": None}}

    def test_empty(self, api: Api) -> None:
        """Replacing by nothing empties it."""
        agent = factories.agent(api, config={"own": 1})
        assert api.data(api.put(url(agent, "?mode=replace"), {})) == EMPTY


class TestSecrets:
    """********, providers by name; what is stored is looked at in test_sealed_config.py."""

    def test_masked(self, api: Api) -> None:
        """api_key, base_url and auth_token read as ********, wherever a configuration is shown."""
        agent = factories.agent(api, **factories.sample_agent())
        for path in ("", "/effective", "/effective?explain=1", "/versions", "/versions/1"):
            text = api.get(url(agent, path)).get_data(as_text=True)
            assert MASK in text
            for secret in ("sk-to-be-masked", "llm.example.com", "token-to-be-masked"):
                assert secret not in text

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_mask_keeps(self, mode: str, api: Api, secrets_of: Callable[..., Any]) -> None:
        """Sending ******** back keeps each secret, by the provider's name when the order
        changes."""
        one, two = factories.provider("one"), factories.provider("two")
        agent = factories.agent(api, config=factories.providers(one, two))
        config = api.data(api.get(url(agent)))
        providers_of(config).reverse()
        api.data(api.put(url(agent, f"?mode={mode}"), config))
        assert providers_of(secrets_of(agent)) == [two, one]

    def test_untouched(self, api: Api, secrets_of: Callable[..., Any]) -> None:
        """A change elsewhere keeps the secrets, though it doesn't mention them."""
        sample = factories.sample_agent()
        agent = factories.agent(api, **sample)
        api.data(api.put(url(agent), {"persona": {"interest": "鱼"}}))
        api.data(api.put(f"/api/v2/agents/{agent['id']}", {"config": {"more": 1}}))
        sample["config"]["persona"]["interest"] = "鱼"
        assert secrets_of(agent) == {**sample["config"], "more": 1}

    def test_new_secret(self, api: Api, secrets_of: Callable[..., Any]) -> None:
        """A secret that is sent takes the place of the stored one."""
        agent = factories.agent(api, config=factories.providers(factories.provider()))
        fresh = factories.provider(api_key="sk-new")
        api.data(api.put(url(agent), factories.providers({**fresh, "base_url": MASK})))
        assert providers_of(secrets_of(agent)) == [fresh]

    @pytest.mark.parametrize("field", ["api_key", "base_url"])
    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_nothing_to_keep(self, mode: str, field: str, api: Api) -> None:
        """******** of a provider that isn't stored is 422 AGENT_004 with its path."""
        agent = factories.agent(api, config=factories.providers(factories.provider("one")))
        sent = factories.providers(factories.provider("two", **{field: MASK}))
        error = api.error(api.put(url(agent, f"?mode={mode}"), sent), 422, "AGENT_004")
        path = f"config_overrides.model.api_providers.0.{field}"
        assert list(error["details"]) == [path]

    def test_nothing_to_keep_at_creation(self, api: Api) -> None:
        """******** in a new agent is 422 AGENT_004 with its path."""
        owner = factories.tenant(api)["id"]
        config = factories.providers(factories.provider(api_key=MASK))
        body = {"tenant_id": owner, "name": "a", "config": config}
        error = api.error(api.post("/api/v2/agents", body), 422, "AGENT_004")
        path = "config.config_overrides.model.api_providers.0.api_key"
        assert list(error["details"]) == [path]

    def test_sealed_text_is_only_text(self, api: Api, secrets_of: Callable[..., Any]) -> None:
        """Text that looks sealed is sealed once more: nobody's secret can be read with it."""
        forged = factories.provider(api_key="enc:00000000:AAAA")
        agent = factories.agent(api, config=factories.providers(forged))
        assert providers_of(secrets_of(agent)) == [forged]

    def test_clone(self, api: Api, secrets_of: Callable[..., Any]) -> None:
        """The secrets of a clone work."""
        sample = factories.sample_agent()
        source = factories.agent(api, **sample)
        other = factories.tenant(api)["id"]
        body = {"name": "b", "tenant_id": other}
        made = api.data(api.post(f"/api/v2/agents/{source['id']}/clone", body))
        assert secrets_of(made) == sample["config"]


class TestEffective:
    TEMPLATE = {
        "persona": {"personality": "猫", "interest": "鱼"},
        "config_overrides": {"chat": {"max_context_size": 50, "planner_size": 2.5}},
        "own": {"list": [1, 2], "of": "template"},
    }
    AGENT = {
        "persona": {"interest": "鸟"},
        "config_overrides": {"chat": {"planner_size": 3.5}},
        "own": {"list": [3]},
    }

    @pytest.fixture
    def agent(self, api: Api) -> dict[str, Any]:
        """An agent with a template."""
        template = factories.template(api, config=self.TEMPLATE)["id"]
        return factories.agent(api, template_id=template, config=self.AGENT)

    def test_layers(self, api: Api, agent: dict[str, Any]) -> None:
        """System defaults < template < the agent's own, merged."""
        found = api.data(api.get(url(agent, "/effective")))
        defaults = config_fields.defaults()
        assert found["persona"] == {**defaults["persona"], "personality": "猫", "interest": "鸟"}
        chat = defaults["config_overrides"]["chat"]
        assert found["config_overrides"]["chat"] == {
            **chat,
            "max_context_size": 50,
            "planner_size": 3.5,
        }
        assert found["config_overrides"]["mood"] == defaults["config_overrides"]["mood"]
        assert found["own"] == {"list": [3], "of": "template"}

    def test_without_template(self, api: Api) -> None:
        """Without a template and a configuration the system's defaults are used."""
        found = api.data(api.get(url(factories.agent(api), "/effective")))
        defaults = config_fields.defaults()
        assert found == {"bot_overrides": {}, **defaults}

    def test_explain(self, api: Api, agent: dict[str, Any]) -> None:
        """For each leaf the value and the layer that it comes from are told."""
        found = api.data(api.get(url(agent, "/effective?explain=1")))
        assert found["config"] == api.data(api.get(url(agent, "/effective")))
        layers = {path: leaf["layer"] for path, leaf in found["explain"].items()}
        assert layers["persona.personality"] == "template"
        assert layers["persona.interest"] == layers["own.list"] == "agent"
        assert layers["config_overrides.chat.max_context_size"] == "template"
        assert layers["config_overrides.chat.planner_size"] == "agent"
        assert layers["config_overrides.chat.talk_value"] == "system"

    @pytest.mark.parametrize("sample", [True, False])
    def test_explain_agrees(self, sample: bool, api: Api, agent: dict[str, Any]) -> None:
        """What is explained are exactly the leaves of the effective configuration."""
        if sample:
            agent = factories.agent(api, **factories.sample_agent())
        found = api.data(api.get(url(agent, "/effective?explain=true")))
        rebuilt: dict[str, Any] = {}
        for path, leaf in found["explain"].items():
            *steps, last = path.split(".")
            node = rebuilt
            for step in steps:
                node = node.setdefault(step, {})
            node[last] = leaf["value"]
        assert rebuilt == found["config"]

    @pytest.mark.parametrize("explain", ["0", "false"])
    def test_not_explained(self, explain: str, api: Api, agent: dict[str, Any]) -> None:
        """?explain=0 is the plain configuration."""
        found = api.data(api.get(url(agent, f"/effective?explain={explain}")))
        assert found == api.data(api.get(url(agent, "/effective")))

    def test_wrong_flag(self, api: Api, agent: dict[str, Any]) -> None:
        """?explain=yes is 422."""
        answer = api.get(url(agent, "/effective?explain=yes"))
        assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["explain"]

    @pytest.mark.parametrize("explain", ["0", "1"])
    def test_etag(self, explain: str, api: Api, agent: dict[str, Any]) -> None:
        """A poller gets 304 until any layer changes."""
        path = url(agent, f"/effective?explain={explain}")
        etag = api.get(path).headers["ETag"]
        known = {"If-None-Match": etag}
        assert api.get(path, headers=known).status_code == 304
        api.data(api.put(f"/api/v2/agents/{agent['id']}", {"description": "no layer"}))
        assert api.get(path, headers=known).status_code == 304
        changed = {"config": {**self.TEMPLATE, "new": True}}
        api.data(api.put(f"/api/v2/agent-templates/{agent['template_id']}", changed))
        fresh = api.get(path, headers=known)
        assert fresh.status_code == 200
        assert fresh.headers["ETag"] != etag

    def test_template_change_is_seen(self, api: Api, agent: dict[str, Any]) -> None:
        """A change of the template is seen at once."""
        path = f"/api/v2/agent-templates/{agent['template_id']}"
        api.data(api.put(path, {"config": {"persona": "狗"}}))
        found = api.data(api.get(url(agent, "/effective")))
        assert found["persona"]["personality"] == "狗"
        assert found["own"] == {"list": [3]}

    def test_template_taken_away(self, api: Api, agent: dict[str, Any]) -> None:
        """An agent whose template was set to null uses the system's defaults again."""
        api.data(api.put(f"/api/v2/agents/{agent['id']}", {"template_id": None}))
        assert api.data(api.get(url(agent, "/effective")))["own"] == {"list": [3]}

    def test_built_in_template(self, api: Api) -> None:
        """A built-in template is a layer like any other."""
        agent = factories.agent(api, template_id="tmpl_builtinexpert")
        template = api.data(api.get("/api/v2/agent-templates/tmpl_builtinexpert"))
        found = api.data(api.get(url(agent, "/effective?explain=1")))
        leaf = found["explain"]["persona.personality"]
        assert leaf == {
            "value": template["config"]["persona"]["personality"],
            "layer": "template",
        }

    def test_operators_file(self, api_with: Callable[..., Api], tmp_path: Path) -> None:
        """The lowest layer is the operator's TOML file when there is one, MaiBot's own too."""
        file = tmp_path / "bot_config.toml"
        file.write_text(
            '[bot]\nnickname = "麦麦"\n[personality]\npersonality = "猫"\n'
            "[chat]\ntalk_value = 0.25\n[maim_message]\nauth_token = ['s3cret']\n",
            "utf-8",
        )
        api = api_with(bot_defaults_path=file)
        agent = factories.agent(api, config={"persona": {"interest": "鱼"}})
        assert api.data(api.get(url(agent, "/effective"))) == {
            "persona": {"personality": "猫", "interest": "鱼"},
            "bot_overrides": {"nickname": "麦麦"},
            "config_overrides": {
                "chat": {"talk_value": 0.25},
                "maim_message": {"auth_token": [MASK]},
            },
        }
