"""/api/v2/system"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maimconfig import clock
from maimconfig.agents import config_fields
from maimconfig.setting_types import OperatorProvider, database_url
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import FaultyProvider

MODELS = "/api/v2/system/models"
PROVIDERS = "/api/v2/system/providers"
DEFAULTS = "/api/v2/system/bot-defaults"
TOML = """
[[api_providers]]
name = "DeepSeek"
base_url = "https://user:s3cret@api.deepseek.com/v1?key=s3cret"
api_key = "sk-s3cret"

[[models]]
name = "deepseek-v3"
model_identifier = "deepseek-chat"
api_provider = "DeepSeek"
price_in = 2
[models.extra_params]
headers = { Authorization = "Bearer s3cret" }

[model_task_config.replyer]
model_list = ["deepseek-v3"]
max_tokens = 800
"""


def test_built_in_models(api: Api) -> None:
    """Without a file the built-in providers, models and defaults are listed."""
    found = api.data(api.get(MODELS))
    assert [row["name"] for row in found["providers"]] == ["dashscope", "openai"]
    assert [row["name"] for row in found["models"]] == ["qwen-turbo", "gpt-4o-mini"]
    assert set(found["defaults"]) == set(config_fields.TASKS)


def test_models_file(api_with: Callable[..., Api], tmp_path: Path) -> None:
    """With a file its providers, models and defaults are listed, and no secret of them."""
    file = tmp_path / "model_config.toml"
    file.write_text(TOML, "utf-8")
    api = api_with(system_models_path=file)
    answer = api.get(MODELS)
    found = api.data(answer)
    assert [row["base_url"] for row in found["providers"]] == ["https://api.deepseek.com/v1"]
    assert [(row["name"], row["price_in"]) for row in found["models"]] == [("deepseek-v3", 2.0)]
    assert found["defaults"]["replyer"]["max_tokens"] == 800
    assert "s3cret" not in answer.get_data(as_text=True)


def test_who_sees_addresses(public: Api, public_with: Callable[..., Api], tmp_path: Path) -> None:
    """Where the operator's providers are is shown to administrators alone of all who log in."""
    file = tmp_path / "model_config.toml"
    file.write_text(TOML, "utf-8")
    plane = public_with(system_models_path=file)
    shown = {}
    for role in ("admin", "supervisor", "user"):
        headers = users.person(public, role).headers
        found = plane.get("/api/v1/system/models", headers=headers).get_json()
        assert [row["name"] for row in found["providers"]] == ["DeepSeek"]
        shown[role] = found["providers"][0]["base_url"]
    hidden = "********"
    assert shown == {
        "admin": "https://api.deepseek.com/v1", "supervisor": hidden, "user": hidden,
    }  # fmt: skip


def test_operators_account(api_with: Callable[..., Api]) -> None:
    """An operator's account enables its provider; its key isn't shown."""
    api = api_with(dashscope=OperatorProvider(api_key="sk-s3cret", model="qwen-max"))
    answer = api.get(MODELS)
    found = api.data(answer)
    assert [row["enabled"] for row in found["providers"]] == [True, False]
    assert found["models"][0]["name"] == "qwen-max"
    assert "s3cret" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["DeepSeek", "openai"])
def test_custom_models(name: str, api_with: Callable[..., Api], tmp_path: Path) -> None:
    """A custom model of an agent must not name a provider that the system has now."""
    file = tmp_path / "model_config.toml"
    file.write_text(TOML, "utf-8")
    api = api_with(system_models_path=file)
    agent = factories.agent(api)
    model = {"name": "m", "model_identifier": "m", "api_provider": name}
    body = {"config_overrides": {"model": {"models": [model]}}}
    answer = api.put(f"/api/v2/agents/{agent['id']}/config", body)
    if name == "DeepSeek":
        error = api.error(answer, 422, "AGENT_004")
        path = "config_overrides.model.models.0.api_provider"
        assert list(error["details"]) == [path]
    else:
        assert api.data(answer)["config_overrides"]["model"]["models"] == [model]


def test_built_in_defaults(api: Api) -> None:
    """Without a file the defaults are those of the field table, by section."""
    assert api.data(api.get(DEFAULTS)) == config_fields.defaults()


def test_defaults_file(api_with: Callable[..., Api], tmp_path: Path) -> None:
    """With a file the defaults are its sections, tokens masked."""
    file = tmp_path / "bot_config.toml"
    file.write_text(
        '[bot]\nnickname = "麦麦"\n[chat]\ntalk_value = 0.5\n'
        '[maim_message]\nauth_token = ["s3cret"]\n',
        "utf-8",
    )
    api = api_with(bot_defaults_path=file)
    assert api.data(api.get(DEFAULTS)) == {
        "bot": {"nickname": "麦麦"},
        "chat": {"talk_value": 0.5},
        "maim_message": {"auth_token": ["********"]},
    }


def test_without_a_database(api_with: Callable[..., Api]) -> None:
    """Models and defaults are there also while the database isn't."""
    api = api_with(database_url=database_url("mysql://nobody@127.0.0.1:1/none"))
    assert api.data(api.get(MODELS))["providers"]
    assert api.data(api.get(DEFAULTS))["config_overrides"]


def test_provider_states(api_with: Callable[..., Api]) -> None:
    """A provider that keeps failing is seen to be left out, and until when."""
    with FaultyProvider() as provider:
        provider.default = faulty.status(500)
        account = OperatorProvider(api_key="sk-s3cret", base_url=provider.base_url)
        api = api_with(openai=account)
        assert api.data(api.get(PROVIDERS)) == {"providers": []}
        agent = factories.agent(api)
        asked = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "message": "x"}
        for _ in range(5):
            api.error(api.post("/api/v2/chat", asked), 502, "CHAT_003")
        (state,) = api.data(api.get(PROVIDERS))["providers"]
    assert (state["scope"], state["name"], state["state"]) == ("system", "openai", "open")
    assert state["recent_failures"] >= 5
    assert state["open_until"] > clock.wire(clock.now())
