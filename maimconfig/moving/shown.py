"""What a move changes, as lines that people read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from maimconfig.moving.changes import Change

_SIGNS = {"create": "+", "update": "~"}
_MOST = 200  # characters of a value


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """What is created and changed, leaf by leaf, and how much isn't."""
    counts: Counter[str] = Counter()
    for change in changes:
        counts[change.action] += 1
        if change.action in _SIGNS:
            yield f"{_SIGNS[change.action]} {change.kind} {change.name}"
            yield from (f"    {_leaf(leaf)}" for leaf in change.differences)
        for path in change.left_out:
            yield f"  ! {change.kind} {change.name}: the secret {path} isn't in the file"
    yield summary(counts)


def summary(counts: Counter[str]) -> str:
    """How many objects became what."""
    return (
        f"{counts['create']} created, {counts['update']} changed, {counts['same']} unchanged, "
        f"{counts['skip']} skipped"
    )


def _leaf(leaf: dict[str, Any]) -> str:
    if leaf["op"] == "add":
        return f"{leaf['path']}: + {_value(leaf['after'])}"
    if leaf["op"] == "remove":
        return f"{leaf['path']}: - {_value(leaf['before'])}"
    return f"{leaf['path']}: {_value(leaf['before'])} -> {_value(leaf['after'])}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
