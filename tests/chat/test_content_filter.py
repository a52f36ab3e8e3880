"""The content filter."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.chat.content_filter import drops

RULES = {"ban_words": ["广告", "spam"], "ban_msgs_regex": [r"https?://\S+", r"^\d{6,}$"]}


@pytest.mark.parametrize(
    ("message", "dropped"),
    [
        ("这是广告！", True),
        ("no spam", True),
        ("see http://x.example", True),
        ("1234567", True),
        ("call 1234567 now", False),
        ("Spam", False),
        ("你好", False),
    ],
)
def test_drops(message: str, dropped: bool) -> None:
    """A message with a banned word, or that matches a banned pattern, is dropped."""
    assert drops(RULES, message) is dropped


@pytest.mark.parametrize(
    "rules", [{}, {"ban_words": None}, {"ban_words": [""], "ban_msgs_regex": ["", "("]}]
)
def test_no_rules(rules: dict[str, Any]) -> None:
    """Without rules, and with rules that aren't finished, everything passes."""
    assert drops(rules, "anything") is False
