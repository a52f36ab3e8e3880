"""The order in which an endpoint's keys are tried."""

from __future__ import annotations

from maimconfig.providers.keys import LONGEST_SECONDS, REFUSED_SECONDS, KeyRing


def test_as_configured() -> None:
    """Keys of which nothing is known are tried as they stand; no key is an empty one."""
    assert KeyRing().order(("a", "b"), 0) == ["a", "b"]
    assert KeyRing().order((), 0) == [""]


def test_last_that_worked() -> None:
    """The key that worked last is the first."""
    ring = KeyRing()
    ring.works("b")
    assert ring.order(("a", "b", "c"), 0) == ["b", "c", "a"]


def test_refused() -> None:
    """A refused key is the last for a while, and then has its place again."""
    ring = KeyRing()
    ring.refused("a", 0)
    assert ring.order(("a", "b"), 1) == ["b", "a"]
    assert ring.order(("a", "b"), REFUSED_SECONDS + 1) == ["a", "b"]


def test_limited() -> None:
    """A limited key rests as long as its provider asks, but not for ever."""
    ring = KeyRing()
    ring.limited("a", 0, 20)
    ring.limited("b", 0, 10**6)
    assert ring.order(("a", "b", "c"), 1) == ["c", "a", "b"]
    assert ring.order(("a", "b", "c"), LONGEST_SECONDS + 1) == ["a", "b", "c"]


def test_no_key_is_kept() -> None:
    """The ring remembers keys by their hash alone."""
    ring = KeyRing()
    ring.works("sk-canary")
    ring.refused("sk-canary", 0)
    assert "canary" not in repr(vars(ring))
