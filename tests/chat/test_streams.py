"""How a stream is named."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.chat.streams import name_of, name_or_new, named
from maimconfig.http.errors import Invalid

ALL = {"chat_identifier": "i", "conversation_id": "c", "group_id": "g", "user_id": "u"}


def without(*names: str) -> dict[str, Any]:
    """All that can name a stream but some."""
    return {name: value for name, value in ALL.items() if name not in names}


@pytest.mark.parametrize(
    ("given", "identifier"),
    [
        (ALL, "i"),
        (without("chat_identifier"), "c"),
        (without("chat_identifier", "conversation_id"), "g"),
        ({"user_id": "u"}, "u"),
        ({"user_id": "u", "chat_identifier": None, "group_id": ""}, "u"),
    ],
)
def test_precedence(given: dict[str, Any], identifier: str) -> None:
    """chat_identifier, else conversation_id, else group_id, else user_id names the stream."""
    assert named(given).chat_identifier == identifier


def test_platform() -> None:
    """Without a platform it is `default`."""
    assert named(ALL).platform == named({**ALL, "platform": None}).platform == "default"
    assert named({**ALL, "platform": "qq"}).platform == "qq"


def test_conversation() -> None:
    """The caller's conversation_id comes back; else the name itself, which finds the stream."""
    assert named(ALL).conversation_id == "c"
    alone = named({"user_id": "u"})
    again = named({"conversation_id": alone.conversation_id})
    assert (again.platform, again.chat_identifier) == (alone.platform, alone.chat_identifier)


def test_group() -> None:
    """A group_id says that it is a group, whatever names the stream."""
    assert named(ALL).group
    assert not named(without("group_id")).group


def test_nameless() -> None:
    """Without a name each message is a conversation of its own, but a retry is the same."""
    assert name_of({"message": "x"}) is None
    one, two = name_or_new({}), name_or_new({})
    assert one.chat_identifier.startswith("conv_")
    assert one != two
    assert name_or_new({"message_id": "m"}) == name_or_new({"message_id": "m"})
    with pytest.raises(Invalid) as refused:
        named({})
    assert "chat_identifier" in refused.value.details
