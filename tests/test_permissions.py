"""Permissions of API keys."""

from __future__ import annotations

import pytest

from maimconfig import permissions
from maimconfig.http.errors import PermissionsInvalid

GROUPS = {"support": ["chat", "config_read"], "all": ["*"], "nested": ["support"], "empty": []}


@pytest.mark.parametrize(
    "names",
    [
        None,
        [],
        ["*"],
        ["chat", "config_read", "config_write", "analytics"],
        ["a", "a_b.c:d-9", "a" * 64],
        [f"p{number}" for number in range(100)],
    ],
)
def test_allowed(names: list[str] | None) -> None:
    """* and [a-z][a-z0-9_.:-]{0,63} can be permissions, at most 100 of them."""
    permissions.check(names)


@pytest.mark.parametrize(
    "name", ["", " ", "A", "chAt", "1a", "_a", "a b", "a/b", "**", "a*", "权限", "a" * 65, "a\n"]
)
def test_refused(name: str) -> None:
    """What can't be a permission is refused with its place."""
    with pytest.raises(PermissionsInvalid) as caught:
        permissions.check(["chat", name], "groups.x")
    assert caught.value.details == {"groups.x.1": [permissions.MALFORMED]}


def test_too_many() -> None:
    """More than 100 are refused."""
    with pytest.raises(PermissionsInvalid) as caught:
        permissions.check([f"p{number}" for number in range(101)])
    assert caught.value.details == {"permissions": [permissions.TOO_MANY]}


@pytest.mark.parametrize(
    ("held", "expanded"),
    [
        ([], []),
        (["chat", "own"], ["chat", "own"]),
        (["support"], ["support", "chat", "config_read"]),
        (["config_read", "support", "own"], ["config_read", "support", "chat", "own"]),
        (["nested"], ["nested", "support"]),
        (["empty", "all"], ["empty", "all", "*"]),
    ],
)
def test_expand(held: list[str], expanded: list[str]) -> None:
    """A group's name is followed by its members, each permission once, in order."""
    assert permissions.expand(held, GROUPS) == expanded


@pytest.mark.parametrize(
    ("held", "wanted", "allowed"),
    [
        (["chat"], "chat", True),
        (["chat"], "own", False),
        ([], "chat", False),
        (["*"], "own", True),
        (["support"], "config_read", True),
        (["support"], "config_write", False),
        (["all"], "own", True),
        (["nested"], "chat", False),
        (["chat"], "*", False),
        (["all"], "*", True),
    ],
)
def test_allows(held: list[str], wanted: str, allowed: bool) -> None:
    """* is all, a group stands for its members one level deep."""
    assert permissions.allows(held, wanted, GROUPS) is allowed


@pytest.mark.parametrize("wanted", ["chat", "support"])
def test_without_groups(wanted: str) -> None:
    """Without groups a name stands for itself."""
    assert permissions.allows(["support"], wanted, {}) is (wanted == "support")
