"""The checks of an agent's configuration and the table behind them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maimconfig.agents import config_fields, config_table
from maimconfig.agents.config_fields import MASK, check
from maimconfig.agents.config_patterns import MAX_CHARACTERS, MAX_PATTERNS
from maimconfig.i18n import localized

SAMPLE = Path(__file__).parent.parent / "data" / "sample-agent.json"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def nested(path: str, value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} for "a.b"; a key of digits is an element of an array."""
    for key in reversed(path.split(".")):
        value = [value] if key.isdigit() else {key: value}
    return value


def problems_at(path: str, value: Any) -> list[str]:
    """The problems of a configuration with one value, which must be about that value alone."""
    found = check(nested(path, value), ())
    assert set(found) <= {path}
    return found.get(path, [])


def sample() -> dict[str, Any]:
    return json.loads(SAMPLE.read_text("utf-8"))["config"]


def provider(**changes: Any) -> dict[str, Any]:
    return {"name": "own", "base_url": "https://llm.example.com/v1"} | changes


def model(**changes: Any) -> dict[str, Any]:
    return {"name": "chat", "model_identifier": "m-1", "api_provider": "own"} | changes


def model_problems(**sections: Any) -> dict[str, list[str]]:
    """Problems of config_overrides.model, by path within it."""
    found = check({"config_overrides": {"model": sections}}, {"dashscope"})
    return {path.removeprefix("config_overrides.model."): texts for path, texts in found.items()}


class TestWhatIsFine:
    def test_sample(self) -> None:
        """The agent that uses every section has no problem."""
        assert check(sample(), {"dashscope", "openai"}) == {}

    def test_empty(self) -> None:
        """An empty configuration has no problem."""
        assert check({}, ()) == {}

    def test_defaults(self) -> None:
        """The defaults have no problem."""
        assert check(config_fields.defaults(), ()) == {}

    @pytest.mark.parametrize("section", ["persona", "bot_overrides", "config_overrides.chat"])
    def test_unknown_field(self, section: str) -> None:
        """An unknown field is fine whatever it holds."""
        assert check(nested(f"{section}.of_tomorrow", [object]), ()) == {}

    def test_unknown_section(self) -> None:
        """An unknown section is fine, at the top and in config_overrides."""
        assert check({"future": 1, "config_overrides": {"future": 1}}, ()) == {}

    def test_null_everywhere(self) -> None:
        """Null means not set, for fields and for sections."""
        for config in ({"persona": None, "tags": None}, {"config_overrides": {"chat": None}}):
            assert check(config, ()) == {}
        assert problems_at("config_overrides.chat.max_context_size", None) == []
        assert problems_at("config_overrides.model.model_task_config.replyer", None) == []

    def test_int_as_float(self) -> None:
        """A whole number will do where a float is asked for."""
        assert problems_at("config_overrides.chat.talk_value", 1) == []

    def test_bounds_are_inside(self) -> None:
        """The bounds of a range belong to it."""
        for value in (1, 1000):
            assert problems_at("config_overrides.chat.max_context_size", value) == []

    def test_masked_address(self) -> None:
        """The mask stands for an address that is kept."""
        assert model_problems(api_providers=[provider(base_url=MASK, api_key=MASK)]) == {}

    @pytest.mark.parametrize("text", ["", "0", "10000001"])
    def test_digits(self, text: str) -> None:
        """An account is digits; empty means not set."""
        assert problems_at("bot_overrides.qq_account", text) == []

    def test_named_groups(self) -> None:
        """A pattern may name its groups, as the sample does."""
        rule = {"regex": [r"^订单(?P<no>\d+)$"], "reaction": "[no]"}
        assert problems_at("config_overrides.keyword_reaction.regex_rules", [rule]) == []

    @pytest.mark.parametrize(
        "rule",
        [
            {"target": "", "time": "00:00-23:59", "value": 0.5},
            {"time": "22:00-02:00", "value": 1},
            {"condition": "quiet_group", "value": 0},
            {"condition": "quiet_group", "value": 0, "note": "kept"},
        ],
    )
    def test_talk_value_rules(self, rule: dict[str, Any]) -> None:
        """A rule goes by the time, also past midnight, or by a condition."""
        assert problems_at("config_overrides.chat.talk_value_rules", [rule]) == []


class TestLanguages:
    def test_every_text_has_english(self) -> None:
        """Whatever is wrong is told in English too: of each field, and of what goes beyond one."""
        wrong: dict[str, Any] = {"persona": {"states": [5]}, "bot_overrides": 5, "tags": 5}
        wrong["config_overrides"] = {
            "chat": {"max_context_size": 0, "planner_size": "x", "talk_value_rules": [{}]},
            "expression": {"mode": "x", "reflect_operator_id": "x"},
            "mood": {"enable_mood": 5, "mood_update_threshold": 0},
            "emoji": {"max_reg_num": -1, "check_interval": 2**70},
            "message_receive": {"ban_msgs_regex": ["("] + ["a"] * MAX_PATTERNS},
            "model": {
                "models": [{"name": "m", "api_provider": "sys", "model_identifier": "x" * 101}] * 2,
                "api_providers": [{"name": "p", "base_url": "x"}],
                "model_task_config": {"nobodys": {}, "replyer": 5},
            },
        }
        for config in (wrong, {"persona": 5}, {"bot_overrides": {"qq_account": "x"}}):
            told = [text for texts in check(config, ["sys"]).values() for text in texts]
            assert told
            assert all(localized(text, "en").isascii() for text in told), told
            assert not any(text.isascii() for text in told), told


class TestTypes:
    @pytest.mark.parametrize("value", ["12", True, 1.9, 1.0, [], {}])
    def test_int(self, value: Any) -> None:
        """Neither a text nor a bool nor a fraction is a whole number."""
        assert problems_at("config_overrides.chat.max_context_size", value) == ["必须是整数"]

    @pytest.mark.parametrize("value", ["1", True, float("nan"), float("inf"), []])
    def test_float(self, value: Any) -> None:
        """A number is a finite one, and no bool."""
        assert problems_at("config_overrides.chat.talk_value", value) == ["必须是数字"]

    @pytest.mark.parametrize("value", ["on", 1, 0])
    def test_bool(self, value: Any) -> None:
        """Only true and false are bools."""
        assert problems_at("config_overrides.mood.enable_mood", value) == ["必须是布尔值"]

    def test_string(self) -> None:
        """A number is no text."""
        assert problems_at("bot_overrides.nickname", 5) == ["必须是字符串"]

    def test_array(self) -> None:
        """A text is no array."""
        assert problems_at("config_overrides.expression.learning_list", "x") == ["必须是数组"]

    def test_array_of_string(self) -> None:
        """A wrong element is named by its index."""
        path = "config_overrides.message_receive.ban_words"
        assert check(nested(path, ["a", 1, None]), ()) == {
            f"{path}.1": ["必须是字符串"],
            f"{path}.2": ["必须是字符串"],
        }

    def test_object(self) -> None:
        """An array is no object."""
        assert model_problems(models=[model(extra_params=[])]) == {
            "models.0.extra_params": ["必须是对象"]
        }

    @pytest.mark.parametrize(
        "path",
        [
            "bot_overrides",
            "config_overrides",
            "config_overrides.chat",
            "config_overrides.personality",
            "config_overrides.model",
            "config_overrides.model.model_task_config",
            "config_overrides.model.model_task_config.replyer",
        ],
    )
    def test_section(self, path: str) -> None:
        """A known section must be an object."""
        assert problems_at(path, []) == ["必须是对象"]

    @pytest.mark.parametrize("path", ["models", "api_providers"])
    def test_section_array(self, path: str) -> None:
        """Models and providers are arrays of objects."""
        assert model_problems(**{path: {}}) == {path: ["必须是数组"]}
        assert model_problems(**{path: ["x"]}) == {f"{path}.0": ["必须是对象"]}

    def test_persona(self) -> None:
        """A persona is a text or an object."""
        assert problems_at("persona", 5) == ["必须是字符串或对象"]


class TestRanges:
    @pytest.mark.parametrize(
        ("path", "value", "text"),
        [
            ("config_overrides.chat.max_context_size", 0, "必须在 1 到 1000 之间"),
            ("config_overrides.chat.max_context_size", 1001, "必须在 1 到 1000 之间"),
            ("config_overrides.emoji.emoji_chance", 1.01, "必须在 0.0 到 1.0 之间"),
            ("config_overrides.chat.talk_value", -0.1, "不能小于 0"),
            ("config_overrides.mood.mood_update_threshold", 0, "必须大于 0"),
            ("config_overrides.maim_message.port", 65536, "必须在 1 到 65535 之间"),
            ("config_overrides.lpmm_knowledge.qa_res_top_k", 2**63, "数值过大"),
            ("config_overrides.chat.talk_value", 10**400, "数值过大"),
        ],
    )
    def test_number(self, path: str, value: Any, text: str) -> None:
        """A number out of its range is told the range; none is larger than 64 bits hold."""
        assert problems_at(path, value) == [text]

    @pytest.mark.parametrize(
        ("path", "text", "span"),
        [
            ("persona", "", "1 到 20000"),
            ("persona", "x" * 20001, "1 到 20000"),
            ("persona.reply_style", "x" * 5001, "0 到 5000"),
            ("config_overrides.personality.reply_style", "x" * 5001, "0 到 5000"),
            ("bot_overrides.platform", "x" * 51, "0 到 50"),
        ],
    )
    def test_length(self, path: str, text: str, span: str) -> None:
        """A text too short or too long is told the lengths."""
        assert problems_at(path, text) == [f"长度必须在 {span} 个字符之间"]

    def test_length_counts_characters(self) -> None:
        """Lengths count characters, not bytes."""
        assert problems_at("bot_overrides.platform", "群" * 50) == []

    def test_choice(self) -> None:
        """A text out of the enumeration is told the choices."""
        found = problems_at("config_overrides.chat.interest_rate_mode", "warp")
        assert found == ["必须是以下之一：fast、medium、slow、accurate"]

    @pytest.mark.parametrize(("path", "count"), [("tags", 50), ("persona.states", 100)])
    def test_count(self, path: str, count: int) -> None:
        """An array may not have more items than the table says."""
        assert problems_at(path, ["x"] * count) == []
        assert problems_at(path, ["x"] * (count + 1)) == [f"最多 {count} 项"]

    @pytest.mark.parametrize("text", ["12a", "-1", " 1", "１２", "1\n"])
    def test_digits(self, text: str) -> None:
        """Digits are 0 to 9 and nothing else."""
        assert problems_at("bot_overrides.qq_account", text) == ["只能由数字组成"]

    def test_operator(self) -> None:
        """An operator is platform:id:type."""
        path = "config_overrides.expression.reflect_operator_id"
        assert problems_at(path, "qq:1:private") == []
        assert problems_at(path, "10000001") == ["必须是“平台:编号:类型”"]


class TestRows:
    @pytest.mark.parametrize(
        ("rule", "key", "text"),
        [
            ({"time": "0:00-9:00", "value": 1}, "time", "必须是 HH:MM-HH:MM 形式的时间段"),
            ({"time": "00:00-24:00", "value": 1}, "time", "必须是 HH:MM-HH:MM 形式的时间段"),
            ({"target": "", "value": 1}, "time", "必填"),
            ({"time": "00:00-09:00", "value": "1"}, "value", "必须是数字"),
            ({"time": "00:00-09:00"}, "value", "必填"),
            ({"time": "00:00-09:00", "value": 1, "target": 5}, "target", "必须是字符串"),
            ({"condition": 5, "value": 1}, "condition", "必须是字符串"),
            ({"condition": "quiet"}, "value", "必填"),
        ],
    )
    @pytest.mark.parametrize("array", ["talk_value_rules", "auto_chat_value_rules"])
    def test_talk_value_rules(self, array: str, rule: Any, key: str, text: str) -> None:
        """A rule needs a time or a condition, and a value that is a number."""
        path = f"config_overrides.chat.{array}"
        assert check(nested(path, [rule]), ()) == {f"{path}.0.{key}": [text]}

    def test_talk_value_rule_is_object(self) -> None:
        """A rule is an object."""
        path = "config_overrides.chat.talk_value_rules"
        assert check(nested(path, ["00:00-09:00"]), ()) == {f"{path}.0": ["必须是对象"]}

    @pytest.mark.parametrize("words", ["keyword", "regex"])
    def test_reactions(self, words: str) -> None:
        """A rule needs its words, as an array of texts, and a reaction."""
        path = f"config_overrides.keyword_reaction.{words}_rules"
        key = {"keyword": "keywords", "regex": "regex"}[words]
        rows = [{"reaction": "x"}, {key: ["a", 1], "reaction": "x"}, {key: ["a"]}, {key: "a"}, 5]
        assert check(nested(path, rows), ()) == {
            f"{path}.0.{key}": ["必填"],
            f"{path}.1.{key}.1": ["必须是字符串"],
            f"{path}.2.reaction": ["必填"],
            f"{path}.3.{key}": ["必须是数组"],
            f"{path}.3.reaction": ["必填"],
            f"{path}.4": ["必须是对象"],
        }

    def test_states(self) -> None:
        """A state is a text, or an object with a name and keywords."""
        states = ["busy", {"name": "t", "keywords": ["a"]}, {"name": "t"}, {}, 5]
        states.append({"name": "t", "keywords": [1]})
        assert check({"persona": {"states": states}}, ()) == {
            "persona.states.3.name": ["必填"],
            "persona.states.4": ["必须是字符串或对象"],
            "persona.states.5.keywords.0": ["必须是字符串"],
        }


class TestModels:
    @pytest.mark.parametrize("key", ["name", "model_identifier", "api_provider"])
    @pytest.mark.parametrize("value", [None, ""])
    def test_required_of_model(self, key: str, value: Any) -> None:
        """A model has a name, an identifier and a provider."""
        row = model(**{key: value})
        assert model_problems(models=[row]) == {f"models.0.{key}": ["必填"]}
        del row[key]
        assert model_problems(models=[row]) == {f"models.0.{key}": ["必填"]}

    @pytest.mark.parametrize("key", ["name", "base_url"])
    def test_required_of_provider(self, key: str) -> None:
        """A provider has a name and an address."""
        row = provider()
        del row[key]
        assert model_problems(api_providers=[row]) == {f"api_providers.0.{key}": ["必填"]}

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://x.example",
            "llm.example.com",
            "javascript:alert(1)",
            "enc:abc",
            "http://",
            "http://[",
            "http://x:0",
            "http://x:99999",
            "http://x y",
            "http://x\n",
        ],
    )
    def test_address(self, url: str) -> None:
        """A provider's address is an http or https URL; the answer does not repeat it."""
        found = model_problems(api_providers=[provider(base_url=url)])
        assert found == {"api_providers.0.base_url": ["必须是 http 或 https 地址"]}

    @pytest.mark.parametrize("url", ["http://10.0.0.1:8000/v1", "https://u:p@x.example/?k=v"])
    def test_good_address(self, url: str) -> None:
        """Whether an address may be reached is not decided here."""
        assert model_problems(api_providers=[provider(base_url=url)]) == {}

    def test_duplicate_names(self) -> None:
        """Two models, or two providers, can't have one name; a model and a provider can."""
        models, providers = [model(), model()], [provider(name="chat"), provider(name="chat")]
        assert model_problems(models=models, api_providers=providers) == {
            "models.1.name": ["名称重复"],
            "api_providers.1.name": ["名称重复"],
        }

    def test_system_provider(self) -> None:
        """A custom model can't use a provider of the system."""
        found = model_problems(models=[model(), model(name="b", api_provider="dashscope")])
        assert found == {"models.1.api_provider": ["自定义模型不能使用系统服务商"]}

    def test_unknown_task(self) -> None:
        """A task that nobody runs is refused."""
        tasks: dict[str, Any] = {"replier": {}, "replyer": {"max_tokens": 0}}
        assert model_problems(model_task_config=tasks) == {
            "model_task_config.replier": ["未知的任务名"],
            "model_task_config.replyer.max_tokens": ["必须在 1 到 1000000 之间"],
        }

    def test_secrets_are_not_repeated(self) -> None:
        """No problem repeats a secret."""
        row = provider(name="", base_url="s3cret://s3cret", api_key={"s3cret": "s3cret"})
        config = nested("config_overrides.model.api_providers", [row])
        config["config_overrides"]["maim_message"] = {"auth_token": "s3cret"}
        found = check(config, ())
        assert len(found) == 4
        assert "s3cret" not in json.dumps(found)


class TestPatterns:
    BAN = "config_overrides.message_receive.ban_msgs_regex"
    RULES = "config_overrides.keyword_reaction.regex_rules"

    @pytest.mark.parametrize(
        ("pattern", "reason"),
        [
            ("(", "missing )"),
            ("a(?=b)", "invalid perl operator"),
            (r"(a)\1", "invalid escape sequence"),
            ("\ud800", "invalid UTF-8"),
        ],
    )
    def test_uncompilable(self, pattern: str, reason: str, capfd: Any) -> None:
        """A pattern that re2 does not take is refused with its reason, and not logged."""
        text = f"正则表达式无法编译：{reason}"
        assert check(nested(self.BAN, ["ok", pattern]), ()) == {f"{self.BAN}.1": [text]}
        rules = [{"regex": ["ok", pattern], "reaction": "x"}]
        assert check(nested(self.RULES, rules), ()) == {f"{self.RULES}.0.regex.1": [text]}
        assert capfd.readouterr().err == ""

    def test_number(self) -> None:
        """There is a limit to the number of patterns."""
        config = nested(self.BAN, ["a"] * MAX_PATTERNS)
        assert check(config, ()) == {}
        config["config_overrides"]["message_receive"]["ban_msgs_regex"].append("a")
        assert list(check(config, ())) == [f"{self.BAN}.{MAX_PATTERNS}"]

    def test_length(self) -> None:
        """There is a limit to the characters of all patterns together."""
        assert check(nested(self.BAN, ["a" * MAX_CHARACTERS]), ()) == {}
        assert list(check(nested(self.BAN, ["a" * MAX_CHARACTERS, "a"]), ())) == [f"{self.BAN}.1"]

    @pytest.mark.parametrize("pattern", [r"\pL{999}", r"\pL{12}", r"\pL" * 2000, "(" * 20000])
    def test_cost(self, pattern: str) -> None:
        """A body full of costly patterns is answered in seconds (1 s here, an hour without)."""
        patterns = [f"{pattern}{count}" for count in range(1_000_000 // len(pattern))]
        started = time.process_time()
        check(nested(self.BAN, patterns), ())
        assert time.process_time() - started < 10


class TestWhateverComes:
    @given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    def test_any_object(self, config: dict[str, Any]) -> None:
        """No JSON object makes it fail."""
        check(config, ())

    @given(st.sampled_from(sorted(config_table.table().fields)), st.data())
    def test_any_value_of_a_known_field(self, key: str, data: st.DataObject) -> None:
        """No JSON value of a known field or section, however deep, makes it fail."""
        node: Any = config_table.table().fields[key]
        path = key
        while isinstance(node, dict) and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(node)))
            node, path = node[name], f"{path}.{name.replace('<task>', 'replyer')}"
        value = data.draw(JSON_VALUES)
        check(nested(path.replace("[]", ".0"), value), ())

    def test_number_of_problems(self) -> None:
        """A body full of wrong values is not answered with all of them."""
        assert len(model_problems(models=[1] * 10_000)) == config_fields.MAX_PROBLEMS


class TestDefaults:
    def test_values(self) -> None:
        """Defaults are typed and stand in their sections."""
        chat = config_fields.defaults()["config_overrides"]["chat"]
        assert (chat["max_context_size"], chat["planner_size"]) == (18, 1.5)
        assert (chat["mentioned_bot_reply"], chat["interest_rate_mode"]) == (True, "fast")
        assert chat["talk_value_rules"] == []
        assert type(chat["talk_value"]) is float

    def test_sections(self) -> None:
        """Items of arrays, tasks, tags and overrides of the persona are not among them."""
        found = config_fields.defaults()
        assert set(found) == {"persona", "bot_overrides", "config_overrides"}
        assert found["persona"] == {"states": [], "state_probability": 0.0}
        assert not {"model", "personality"} & set(found["config_overrides"])

    def test_fresh(self) -> None:
        """What a caller does to them is not seen by the next."""
        config_fields.defaults()["persona"]["states"].append("x")
        assert config_fields.defaults()["persona"]["states"] == []

    def test_items(self) -> None:
        """The defaults of a task and of a provider stand in the same table."""
        tasks = config_fields.item_defaults("config_overrides.model.model_task_config.<task>")
        assert tasks == {
            "model_list": [],
            "max_tokens": 1024,
            "temperature": 0.3,
            "slow_threshold": 15.0,
        }
        found = config_fields.item_defaults("config_overrides.model.api_providers[]")
        assert found["client_type"] == "openai"

    def test_unknown_item(self) -> None:
        """A path that the table does not have is an error of the caller."""
        with pytest.raises(KeyError):
            config_fields.item_defaults("config_overrides.model.nothing[]")


class TestTable:
    def test_secrets(self) -> None:
        """Tokens, provider keys and provider addresses are secret."""
        assert set(config_fields.secret_kinds()) == {
            "config_overrides.maim_message.auth_token[]",
            "config_overrides.model.api_providers[].api_key",
            "config_overrides.model.api_providers[].base_url",
        }

    def test_unknown_range(self) -> None:
        """A range in the table that is not understood is an error, not ignored."""
        with pytest.raises(ValueError, match="not understood"):
            config_table._with_range(config_table.Field("int"), "about 5")
