"""How a prompt comes to be."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.chat import prompt
from tests import factories

PERSONA = {
    "personality": "耐心的客服",
    "reply_style": "简短",
    "interest": "物流",
    "plan_style": "被点名才说话",
    "private_plan_style": "主动追问",
}


def never() -> float:
    """A chance that draws no state."""
    return 0.999


def always() -> float:
    """A chance that draws the first state, however improbable."""
    return 0.0


def system(config: dict[str, Any], message: str = "x", **options: Any) -> str:
    """The system text of a configuration."""
    given = {"group": False, "chance": never, **options}
    built = prompt.build(config, (), message, **given)
    return built[0]["content"] if built[0]["role"] == "system" else ""


def test_order() -> None:
    """System text, then the history as it was, then the message."""
    past = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    built = prompt.build({"persona": PERSONA}, past, "c", group=False, chance=never)
    assert [message["role"] for message in built] == ["system", "user", "assistant", "user"]
    assert built[1:] == [*past, {"role": "user", "content": "c"}]


def test_parts() -> None:
    """Nickname, personality, reply style and interest stand in the system text, in that order."""
    text = system({"persona": PERSONA, "bot_overrides": {"nickname": "小麦"}})
    places = [text.index(part) for part in ("小麦", "耐心的客服", "简短", "物流", "主动追问")]
    assert places == sorted(places)


@pytest.mark.parametrize(("group", "there", "absent"), [
    (True, "被点名才说话", "主动追问"),
    (False, "主动追问", "被点名才说话"),
])  # fmt: skip
def test_conduct(group: bool, there: str, absent: str) -> None:
    """A group has plan_style, a private chat private_plan_style."""
    text = system({"persona": PERSONA}, group=group)
    assert there in text
    assert absent not in text


def test_plain_persona() -> None:
    """A persona as a plain string is the personality."""
    assert system({"persona": "你是猫"}) == "你是猫"


def test_overrides() -> None:
    """config_overrides.personality overrides the persona field of the same name; null doesn't."""
    overrides = {"reply_style": "正式", "interest": None, "personality": ""}
    text = system({"persona": PERSONA, "config_overrides": {"personality": overrides}})
    assert "正式" in text
    assert "物流" in text
    assert "简短" not in text
    assert "耐心的客服" not in text


def test_nothing_configured() -> None:
    """An agent without a persona has no system text at all."""
    built = prompt.build({}, (), "x", group=False, chance=never)
    assert built == [{"role": "user", "content": "x"}]


def test_reactions() -> None:
    """What the rules say to the message stands in the system text."""
    rules = {"keyword_rules": [{"keywords": ["退款"], "reaction": "先问订单号"}]}
    config = {"persona": PERSONA, "config_overrides": {"keyword_reaction": rules}}
    assert "先问订单号" in system(config, "我要退款")
    assert "先问订单号" not in system(config, "你好")


class TestStates:
    """persona.states, drawn with state_probability."""

    CONFIG = {
        "persona": {
            **PERSONA,
            "states": ["今天很忙", {"name": "教学", "keywords": ["教程"]}],
            "state_probability": 0.2,
        }
    }

    @pytest.mark.parametrize(("chance", "drawn"), [(0.19, True), (0.2, False), (0.9, False)])
    def test_probability(self, chance: float, drawn: bool) -> None:
        """A state takes the personality's place when the chance is below the probability."""
        text = system(self.CONFIG, chance=lambda: chance)
        assert ("今天很忙" in text) is drawn
        assert ("耐心的客服" in text) is not drawn

    def test_keywords(self) -> None:
        """A state with keywords is for messages that have one, and comes before the others."""
        assert "教学" in system(self.CONFIG, "有教程吗", chance=always)
        assert "教学" not in system(self.CONFIG, "你好", chance=always)

    def test_all_are_drawn(self) -> None:
        """Each of several states has its share of the chance."""
        persona = prompt.Persona(states=["a", "b", "c"], state_probability=1.0)
        chances = [0.0, 0.34, 0.67, 0.999]
        drawn = [prompt.drawn_state(persona, "x", lambda c=chance: c) for chance in chances]
        assert drawn == ["a", "b", "c", "c"]

    @pytest.mark.parametrize(
        "states", [[], None, [{"name": "x", "keywords": ["no"]}], [{}], [None]]
    )
    def test_none_fits(self, states: Any) -> None:
        """Where no state fits the personality stays."""
        given = {"persona": {**PERSONA, "states": states, "state_probability": 1.0}}
        assert "耐心的客服" in system(given, chance=always)


def test_sample_agent() -> None:
    """The contract's sample agent, which uses every section, makes a prompt."""
    text = system(factories.sample_agent()["config"], "你好", group=True)
    assert "小麦客服" in text
    assert "专业、礼貌" in text
