"""The system's providers and models, and the bots' defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maimconfig.agents import config_fields
from maimconfig.system.catalogue import CatalogueError, load_bot_defaults, load_models

MODELS_TOML = """
[inner]
version = "1.7.4"

[[api_providers]]
name = "DeepSeek"
base_url = "https://user:s3cret@api.deepseek.com:8443/v1?key=s3cret"
api_key = "sk-s3cret"
client_type = "openai"
max_retry = 3
timeout = 120
retry_interval = 5

[[api_providers]]
name = "Local"
base_url = "http://10.0.0.1/v1"

[[models]]
model_identifier = "deepseek-chat"
name = "deepseek-v3"
api_provider = "DeepSeek"
price_in = 2
price_out = 8.0
temperature = 0.5
force_stream_mode = true
[models.extra_params]
headers = { Authorization = "Bearer s3cret" }

[[models]]
model_identifier = "qwen3"
name = "qwen3-8b"
api_provider = "Local"

[model_task_config.replyer]
model_list = ["deepseek-v3", "qwen3-8b"]
temperature = 0.2
max_tokens = 800

[model_task_config.task_of_tomorrow]
model_list = ["qwen3-8b"]
img_tokens = 300
"""


@dataclass(frozen=True)
class Account:
    """The operator's account with a built-in provider."""

    api_key: str | None = None
    base_url: str | None = None
    model: str | None = None


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    """Writes a TOML file and gives its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "some.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def refusal(path: Path) -> str:
    """The sentence with which a models file is refused, without its name."""
    with pytest.raises(CatalogueError) as caught:
        load_models(path, {})
    text = str(caught.value)
    assert text.startswith(str(path))
    assert text.endswith(".")
    return text.removeprefix(str(path)).strip()


class TestFile:
    def test_providers(self, toml: Any) -> None:
        """A provider has what the file says, and the table's defaults."""
        deepseek, local = load_models(toml(MODELS_TOML), {}).providers
        assert (deepseek.name, deepseek.api_key, deepseek.timeout) == ("DeepSeek", "sk-s3cret", 120)
        assert (local.api_key, local.client_type, local.max_retry) == ("", "openai", 2)
        assert (local.timeout, local.retry_interval) == (10, 10)

    def test_models(self, toml: Any) -> None:
        """A model has what the file says, and the table's defaults."""
        deepseek, qwen = load_models(toml(MODELS_TOML), {}).models
        assert (deepseek.price_in, deepseek.temperature, deepseek.force_stream_mode) == (2, 0.5, 1)
        assert deepseek.extra_params == {"headers": {"Authorization": "Bearer s3cret"}}
        assert (qwen.price_in, qwen.temperature, qwen.force_stream_mode) == (0.0, None, False)
        assert qwen.extra_params == {}

    def test_tasks(self, toml: Any) -> None:
        """A task has what the file says and the table's defaults, known to us or not."""
        tasks = load_models(toml(MODELS_TOML), {}).tasks
        assert tasks["replyer"] == {
            "model_list": ["deepseek-v3", "qwen3-8b"],
            "max_tokens": 800,
            "temperature": 0.2,
            "slow_threshold": 15.0,
        }
        assert tasks["task_of_tomorrow"]["model_list"] == ["qwen3-8b"]

    def test_operator_accounts_do_not_apply(self, toml: Any) -> None:
        """With a file, the file is the whole truth."""
        path = toml(MODELS_TOML.replace("DeepSeek", "openai"))
        found = load_models(path, {"openai": Account(api_key="sk-other")})
        assert found.providers[0].api_key == "sk-s3cret"

    def test_byte_order_mark(self, toml: Any) -> None:
        """A file from an editor that begins with a byte order mark is read."""
        assert load_models(toml("\ufeff" + MODELS_TOML), {}).models

    def test_key_is_not_in_repr(self, toml: Any) -> None:
        """No key stands in what a log would show."""
        catalogue = load_models(toml(MODELS_TOML), {})
        assert "sk-s3cret" not in repr(catalogue)
        assert "Bearer" not in repr(catalogue)


class TestNames:
    def test_provider_names(self, toml: Any) -> None:
        """The providers' names are there for the check of tenants' models."""
        assert load_models(toml(MODELS_TOML), {}).provider_names == {"DeepSeek", "Local"}


class TestPublic:
    def test_no_secret(self, toml: Any) -> None:
        """Neither a key nor a secret in an address or a header is shown."""
        shown = json.dumps(load_models(toml(MODELS_TOML), {}).public())
        assert "s3cret" not in shown

    def test_shape(self, toml: Any) -> None:
        """It is what GET /system/models shows: providers, models and the tasks' defaults."""
        shown = load_models(toml(MODELS_TOML), {}).public()
        assert shown["providers"][0] == {
            "name": "DeepSeek",
            "base_url": "https://api.deepseek.com:8443/v1",
            "client_type": "openai",
            "max_retry": 3,
            "timeout": 120,
            "retry_interval": 5,
            "enabled": True,
        }
        assert shown["providers"][1]["enabled"] is True
        assert shown["models"][1] == {
            "name": "qwen3-8b",
            "model_identifier": "qwen3",
            "api_provider": "Local",
            "price_in": 0.0,
            "price_out": 0.0,
            "temperature": None,
            "force_stream_mode": False,
        }
        assert set(shown["defaults"]) == {"replyer", "task_of_tomorrow"}

    def test_fresh(self) -> None:
        """What a caller does to it is not seen by the next."""
        catalogue = load_models(None, {})
        catalogue.public()["defaults"]["replyer"]["model_list"].clear()
        assert catalogue.tasks["replyer"]["model_list"]


class TestBuiltin:
    def test_list(self) -> None:
        """Without a file there are DashScope and OpenAI, not enabled without a key."""
        shown = load_models(None, {}).public()
        assert [(row["name"], row["base_url"], row["enabled"]) for row in shown["providers"]] == [
            ("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", False),
            ("openai", "https://api.openai.com/v1", False),
        ]
        assert [(row["name"], row["api_provider"]) for row in shown["models"]] == [
            ("qwen-turbo", "dashscope"),
            ("gpt-4o-mini", "openai"),
        ]

    def test_tasks(self) -> None:
        """Every task is there; the models of both providers are tried in order."""
        tasks = load_models(None, {}).tasks
        assert set(tasks) == set(config_fields.TASKS)
        assert tasks["replyer"]["model_list"] == ["qwen-turbo", "gpt-4o-mini"]
        assert tasks["vlm"]["model_list"] == ["gpt-4o-mini"]
        assert tasks["embedding"]["model_list"] == tasks["voice"]["model_list"] == []

    def test_operator(self) -> None:
        """The operator's key, address and model take the place of the built-in ones."""
        account = Account("sk-1", "http://10.0.0.1:8000/v1", "qwen-max")
        found = load_models(None, {"dashscope": account, "openai": Account()})
        assert found.providers[0].api_key == "sk-1"
        assert found.providers[0].base_url == "http://10.0.0.1:8000/v1"
        assert found.models[0].model_identifier == found.models[0].name == "qwen-max"
        assert found.tasks["replyer"]["model_list"] == ["qwen-max", "gpt-4o-mini"]
        assert [row["enabled"] for row in found.public()["providers"]] == [True, False]

    def test_same_model_twice(self) -> None:
        """Both providers may have the same model; its names tell which."""
        found = load_models(None, {"openai": Account(model="qwen-turbo")})
        assert [(model.name, model.model_identifier) for model in found.models] == [
            ("qwen-turbo", "qwen-turbo"),
            ("openai/qwen-turbo", "qwen-turbo"),
        ]

    def test_wrong_operator_address(self) -> None:
        """An operator's address that is none is refused by name."""
        with pytest.raises(CatalogueError, match=r"operator's settings .* api_providers\.1\.base"):
            load_models(None, {"openai": Account(base_url="llm.example.com")})


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        """A file that is not there is refused by name."""
        assert refusal(tmp_path / "none.toml") == "can't be read: No such file or directory."

    def test_directory(self, tmp_path: Path) -> None:
        """A folder is no file."""
        assert refusal(tmp_path) == "can't be read: Is a directory."

    def test_encoding(self, toml: Any) -> None:
        """A file in another encoding is refused."""
        assert refusal(toml("名".encode("gbk"))) == "can't be read: it is not UTF-8."

    def test_syntax(self, toml: Any) -> None:
        """A file that is not TOML is refused with the place."""
        assert "is not TOML" in (found := refusal(toml("[[models]\n")))
        assert "line 1" in found

    @pytest.mark.parametrize("array", ["api_providers", "models"])
    def test_nothing_in_it(self, array: str, toml: Any) -> None:
        """A file without providers or without models is refused."""
        path = toml(MODELS_TOML.replace(f"[[{array}]]", "[[other]]").replace("[models.", "[x."))
        assert refusal(path) == f"has no [[{array}]]."

    @pytest.mark.parametrize(
        ("right", "wrong", "text"),
        [
            ("timeout = 120", 'timeout = "120"', "api_providers.0.timeout: Must be an integer"),
            ("price_out = 8.0", "price_out = -1", "models.0.price_out: Must not be less than 0"),
            (
                'name = "Local"',
                'name = "DeepSeek"',
                "api_providers.1.name: The name is",
            ),
            (
                "max_tokens = 800",
                "max_tokens = 0",
                "model_task_config.replyer.max_tokens: Must",
            ),
            ("img_tokens", "max_tokens = 0\nx", "model_task_config.task_of_tomorrow.max_tokens"),
        ],
    )
    def test_wrong_value(self, right: str, wrong: str, text: str, toml: Any) -> None:
        """A wrong value is refused with its place."""
        found = refusal(toml(MODELS_TOML.replace(right, wrong)))
        assert found.startswith(f"has a wrong value at {text}")

    def test_wrong_address(self, toml: Any) -> None:
        """A wrong address is refused without being repeated."""
        found = refusal(toml(MODELS_TOML.replace("https://user", "s3cret://user")))
        where = "api_providers.0.base_url"
        assert found == f"has a wrong value at {where}: Must be an http or https URL."

    @pytest.mark.parametrize("tasks", ["5", "{replyer = 5}"])
    def test_wrong_tasks(self, tasks: str, toml: Any) -> None:
        """Tasks are tables in a table."""
        text = f"model_task_config = {tasks}\n" + MODELS_TOML.partition("[model_task_config")[0]
        assert "model_task_config" in refusal(toml(text))

    def test_unknown_provider(self, toml: Any) -> None:
        """A model of a provider that the file does not have is refused."""
        text = MODELS_TOML.replace('api_provider = "Local"', 'api_provider = "Remote"')
        assert refusal(toml(text)) == "has no provider 'Remote', which model 'qwen3-8b' needs."

    def test_unknown_model(self, toml: Any) -> None:
        """A task of a model that the file does not have is refused."""
        text = MODELS_TOML.replace('"deepseek-v3", ', '"gone", ')
        assert refusal(toml(text)) == "has no model 'gone', which task 'replyer' needs."


class TestBotDefaults:
    def test_table(self) -> None:
        """Without a file they are the defaults of the field table."""
        assert load_bot_defaults(None) == config_fields.defaults()

    def test_file(self, toml: Any) -> None:
        """A file is given as it is, by section."""
        path = toml('[bot]\nnickname = "麦麦"\n[chat]\ntalk_value = 0.5\n')
        assert load_bot_defaults(path) == {"bot": {"nickname": "麦麦"}, "chat": {"talk_value": 0.5}}

    def test_tokens(self, toml: Any) -> None:
        """The tokens of the operator's own message server are masked."""
        text = '[maim_message]\nauth_token = ["s3cret"]\n[config_overrides.maim_message]\n'
        found = load_bot_defaults(toml(text + 'auth_token = ["s3cret"]\n'))
        assert found["maim_message"] == {"auth_token": [config_fields.MASK]}
        assert "s3cret" not in json.dumps(found)

    def test_malformed(self, toml: Any) -> None:
        """A file that is not TOML is refused by name."""
        with pytest.raises(CatalogueError, match=r"some\.toml is not TOML"):
            load_bot_defaults(toml("= 5"))
