"""How a prompt comes to be, from an agent's configuration, a stream's history and a message.

The system text has, in this order and each only where there is one: the persona (or the state
that this turn uses in its place), reply_style, interest, plan_style in a group or
private_plan_style else, and the reactions to the message. Then come the stream's last messages,
then the message itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maimconfig.chat import reactions

Message = Mapping[str, Any]

_HEADINGS = {
    "reply_style": "你的回复风格：",
    "interest": "你感兴趣的话题：",
    "plan_style": "你在群聊中的行为准则：",
    "private_plan_style": "你在私聊中的行为准则：",
    "reactions": "对这条消息，请注意：",
}
NICKNAME = "你的名字是{}。"


@dataclass(frozen=True, slots=True)
class Persona:
    """Who an agent is, for one turn; an empty text is a part that isn't there.

    Attributes:
        states: alternative personas, texts or {name, keywords}.
        state_probability: from 0 to 1, how likely a turn uses one of them.
    """

    nickname: str = ""
    personality: str = ""
    reply_style: str = ""
    interest: str = ""
    plan_style: str = ""
    private_plan_style: str = ""
    states: Sequence[Any] = ()
    state_probability: float = 0.0


def section(config: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """A section of a configuration; empty when it isn't there."""
    found: Any = config
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def persona_of(config: Mapping[str, Any]) -> Persona:
    """The persona of an effective configuration, overrides laid over it.

    Args:
        config: with `persona` as an object or as a plain string, `bot_overrides.nickname` and
            `config_overrides.personality`.
    """
    given = config.get("persona")
    fields: dict[str, Any] = (
        {"personality": given} if isinstance(given, str) else dict(section(config, "persona"))
    )
    overrides = section(config, "config_overrides", "personality")
    fields.update({name: value for name, value in overrides.items() if value is not None})
    fields["nickname"] = section(config, "bot_overrides").get("nickname")
    texts = ("nickname", "personality", "reply_style", "interest", "plan_style",
             "private_plan_style")  # fmt: skip
    chance = fields.get("state_probability")
    states = fields.get("states")
    return Persona(
        **{name: fields[name] for name in texts if isinstance(fields.get(name), str)},
        states=states if isinstance(states, list) else (),
        state_probability=chance if isinstance(chance, (int, float)) else 0.0,
    )


def drawn_state(persona: Persona, message: str, chance: Callable[[], float]) -> str:
    """The state that this turn uses in place of the personality; empty for none.

    A state whose keywords the message has comes before those without keywords.

    Args:
        chance: gives a number from 0 (included) to 1 (excluded), as random.random does.
    """
    if not persona.states or chance() >= persona.state_probability:
        return ""
    fitting = [state for state in persona.states if _has_keyword(state, message)]
    plain = [state for state in persona.states if not _keywords(state)]
    names = [_name(state) for state in fitting or plain]
    return names[int(chance() * len(names))] if names else ""


def system_text(
    persona: Persona, message: str, said: Sequence[str], *, group: bool, chance: Callable[[], float]
) -> str:
    """The system text of one turn.

    Args:
        message: that is answered.
        said: the reactions to it.
        group: whether it was said in a group.
        chance: see `drawn_state`.
    """
    conduct = "plan_style" if group else "private_plan_style"
    parts = {name: getattr(persona, name) for name in ("reply_style", "interest", conduct)}
    parts["reactions"] = "\n".join(said)
    lines = [
        NICKNAME.format(persona.nickname) if persona.nickname else "",
        drawn_state(persona, message, chance) or persona.personality,
        *(f"{_HEADINGS[name]}{text}" for name, text in parts.items() if text),
    ]
    return "\n".join(line for line in lines if line)


def build(
    config: Mapping[str, Any],
    history: Sequence[Message],
    message: str,
    *,
    group: bool,
    chance: Callable[[], float],
) -> list[Message]:
    """The messages that a provider is asked with, as OpenAI's API has them.

    Args:
        config: the agent's effective configuration.
        history: the stream's last messages, the oldest first.
        message: that is answered.
        group: whether it was said in a group.
        chance: see `drawn_state`.
    """
    rules = section(config, "config_overrides", "keyword_reaction")
    said = reactions.matching(rules, message)
    system = system_text(persona_of(config), message, said, group=group, chance=chance)
    first = [{"role": "system", "content": system}] if system else []
    return [*first, *history, {"role": "user", "content": message}]


def _keywords(state: Any) -> Sequence[str]:
    return (state.get("keywords") or ()) if isinstance(state, Mapping) else ()


def _has_keyword(state: Any, message: str) -> bool:
    return any(word and word in message for word in _keywords(state))


def _name(state: Any) -> str:
    name = state.get("name") if isinstance(state, Mapping) else state
    return name if isinstance(name, str) else ""
