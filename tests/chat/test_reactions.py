"""Keyword and regex reactions."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.chat.reactions import matching


def keywords(*rules: tuple[list[str], str]) -> dict[str, Any]:
    """A section with keyword rules."""
    return {"keyword_rules": [{"keywords": words, "reaction": said} for words, said in rules]}


def patterns(*rules: tuple[list[str], str]) -> dict[str, Any]:
    """A section with regex rules."""
    return {"regex_rules": [{"regex": regex, "reaction": said} for regex, said in rules]}


def test_keywords() -> None:
    """A rule reacts when the message has one of its keywords, to the letter."""
    rules = keywords((["退款", "refund"], "说明退款流程"), (["Price"], "给价目表"))
    assert matching(rules, "怎么退款？") == ["说明退款流程"]
    assert matching(rules, "refund and Price") == ["说明退款流程", "给价目表"]
    assert matching(rules, "price") == []


def test_named_groups() -> None:
    """What a named group caught stands where the reaction names it."""
    rules = patterns((["order (?P<number>[0-9]+)"], "看订单 [number]，[number]！[other]"))
    assert matching(rules, "my order 42") == ["看订单 42，42！[other]"]


def test_group_that_caught_nothing() -> None:
    """A group that took no part is an empty text."""
    assert matching(patterns((["(?P<a>x)?y"], "<[a]>")), "y") == ["<>"]


def test_caught_text_is_no_template() -> None:
    """What a user writes is put in once, and a rule reacts once however many patterns match."""
    rules = patterns((["(?P<a>.+)", "x"], "[a]"))
    assert matching(rules, "x [a]") == ["x [a]"]


def test_order_and_repeats() -> None:
    """Keyword rules come first, and a reaction is told once."""
    rules = {**patterns((["a"], "two"), (["b"], "one")), **keywords((["a"], "one"))}
    assert matching(rules, "ab") == ["one", "two"]


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"keyword_rules": None, "regex_rules": None},
        {"keyword_rules": [None, {}], "regex_rules": [{}, None]},
        keywords(([], "x"), ([""], "x")),
        patterns(([], "x"), ([""], "x"), (["("], "x")),
        {"keyword_rules": [{"keywords": ["a"], "reaction": None}]},
    ],
)
def test_unfinished_rules(rules: dict[str, Any]) -> None:
    """A rule without words, pattern or reaction says nothing."""
    assert matching(rules, "a") == []
