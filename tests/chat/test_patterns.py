"""Tenants' patterns."""

from __future__ import annotations

import time

import pytest

from maimconfig.chat import patterns


def test_search() -> None:
    """A pattern is looked for anywhere in a text."""
    assert patterns.search("b+", "abbc").group() == "bb"
    assert patterns.search("x", "abbc") is None


@pytest.mark.parametrize("pattern", ["", "(", "(?=a)", "\ud800", None, 1, "a{1001}"])
def test_useless_patterns_match_nothing(pattern: object) -> None:
    """What doesn't compile, or is empty, matches nothing and raises nothing."""
    assert patterns.search(pattern, "a(b") is None


def test_linear() -> None:
    """The pattern that takes a backtracking engine forever takes no time."""
    began = time.monotonic()
    assert patterns.search("(a+)+$", "a" * 100_000 + "b") is None
    assert time.monotonic() - began < 2


def test_compiled_once() -> None:
    """A pattern is compiled once, and the cache has an end."""
    assert patterns.compiled("once+") is patterns.compiled("once+")
    for number in range(2 * patterns.CACHED):
        patterns.compiled(f"many{number}")
    assert patterns.compiled.cache_info().currsize <= patterns.CACHED
