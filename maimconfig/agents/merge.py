"""Merging, layering and comparing configurations: JSON values in, new JSON values out.

Nothing here changes or shares its inputs. A dotted path names a leaf, which is an array, a scalar
or an empty object; a dot or a backslash within a key is escaped with a backslash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

SECTIONS = ("persona", "bot_overrides", "config_overrides")

Layer: TypeAlias = tuple[str, Mapping[str, Any]]


def fresh(value: Any) -> Any:
    """A copy of a JSON value that shares no object or array with it."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fresh(item) for item in value]
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` after `patch`, as RFC 7396 says: objects deep, arrays replaced, null deletes."""
    if not isinstance(patch, dict):
        return fresh(patch)
    merged = fresh(target) if isinstance(target, dict) else {}
    for key, change in patch.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), change)
    return merged


def effective(layers: Sequence[Layer]) -> dict[str, Any]:
    """The configuration that a runtime uses.

    Objects are merged deep; an array or a scalar takes the place of what lies below it. A null
    means "not set here" and hides nothing, so it stays only where nothing lies below or above.
    A persona given as a text counts as its personality.

    Args:
        layers: pairs of name and configuration, the lowest first.

    Returns:
        a new object that always holds the objects of SECTIONS.
    """
    return {key: _plain(node) for key, node in _stacked(layers).items()}


def explain(layers: Sequence[Layer]) -> dict[str, dict[str, Any]]:
    """Where each leaf of `effective(layers)` comes from.

    Returns:
        dotted path to {"value": the leaf, "layer": the layer's name}; the layer is None for a
        section that no layer has.
    """
    return {
        path: {"value": leaf.value, "layer": leaf.layer}
        for key, node in _stacked(layers).items()
        for path, leaf in _sourced_leaves(escape(key), node)
    }


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The leaves in which two configurations differ; 1, 1.0 and True are three values.

    Returns:
        {"path", "op": "add", "after"}, {"path", "op": "remove", "before"} and
        {"path", "op": "replace", "before", "after"}, sorted by path.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found = (_change(path, old, new) for path in sorted(old.keys() | new.keys()))
    return [change for change in found if change is not None]


def escape(key: str) -> str:
    """A key as it stands in a dotted path."""
    return key.replace("\\", "\\\\").replace(".", "\\.")


# --- layers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf and the layer that it comes from."""

    value: Any
    layer: str | None


# An object is a dict with something in it; the empty one is a leaf, so that it has a layer.
_Node: TypeAlias = "_Leaf | dict[str, _Node]"


def _stacked(layers: Sequence[Layer]) -> dict[str, _Node]:
    stack: dict[str, _Node] = {}
    for name, config in layers:
        for key, value in _with_sections(config).items():
            node = _sourced(value, name)
            stack[key] = _overlaid(stack[key], node) if key in stack else node
    for section in SECTIONS:
        stack.setdefault(section, _Leaf({}, None))
    return stack


def _with_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """A layer in which each section is an object or absent."""
    layer = dict(config)
    if isinstance(layer.get("persona"), str):
        layer["persona"] = {"personality": layer["persona"]}
    for section in SECTIONS:
        if not isinstance(layer.get(section), dict):
            layer.pop(section, None)
    return layer


def _sourced(value: Any, layer: str) -> _Node:
    if isinstance(value, dict) and value:
        return {key: _sourced(item, layer) for key, item in value.items()}
    return _Leaf(fresh(value), layer)


def _overlaid(lower: _Node, higher: _Node) -> _Node:
    if isinstance(higher, _Leaf):
        return lower if _hides_nothing(higher, lower) else higher
    if isinstance(lower, _Leaf):
        return higher
    merged = dict(lower)
    for key, node in higher.items():
        merged[key] = _overlaid(merged[key], node) if key in merged else node
    return merged


def _hides_nothing(higher: _Leaf, lower: _Node) -> bool:
    """Whether the leaf is a null, or an empty object over an object."""
    if higher.value is None:
        return True
    return higher.value == {} and (isinstance(lower, dict) or lower.value == {})


def _plain(node: _Node) -> Any:
    if isinstance(node, _Leaf):
        return node.value
    return {key: _plain(inner) for key, inner in node.items()}


def _sourced_leaves(path: str, node: _Node) -> Iterator[tuple[str, _Leaf]]:
    if isinstance(node, _Leaf):
        yield path, node
        return
    for key, inner in node.items():
        yield from _sourced_leaves(f"{path}.{escape(key)}", inner)


# --- differences -----------------------------------------------------------------------------


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        path = prefix + escape(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _change(path: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    if path not in old:
        return {"path": path, "op": "add", "after": fresh(new[path])}
    if path not in new:
        return {"path": path, "op": "remove", "before": fresh(old[path])}
    if _same(old[path], new[path]):
        return None
    before, after = fresh(old[path]), fresh(new[path])
    return {"path": path, "op": "replace", "before": before, "after": after}


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
