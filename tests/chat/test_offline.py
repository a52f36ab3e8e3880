"""The built-in offline provider."""

from __future__ import annotations

from maimconfig.chat.offline import reply


def test_reactions() -> None:
    """The reactions are the reply, a line each."""
    assert reply("小麦", "退款", ["一", "二"]) == "一\n二"


def test_echo() -> None:
    """Without a reaction it is an echo under the agent's nickname."""
    assert reply("小麦", "你好", []) == "小麦: 你好"
