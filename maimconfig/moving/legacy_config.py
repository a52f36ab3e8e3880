"""The configuration of an agent of the older services: put together, and made acceptable."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from maimconfig.agents import config_fields
from maimconfig.agents.merge import SECTIONS, fresh, merge_patch
from maimconfig.moving.legacy_source import Row


def config_of(rows: Iterable[Row]) -> dict[str, Any]:
    """The configuration that an agent's row and its rows in tables of their own hold together.

    It is one column of JSON, or a column a section, or both; the later row wins.

    Raises:
        ValueError: a column isn't JSON, or no object.
    """
    config: dict[str, Any] = {}
    for row in rows:
        whole = row.value("config", "config_data", "config_json") or {}
        sections = {name: found for name in SECTIONS if (found := _section(row, name)) is not None}
        if not isinstance(whole, dict):
            raise ValueError("no object")
        config = merge_patch(config, {**whole, **sections})
    return config


def acceptable(
    config: dict[str, Any], system_providers: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """A configuration without what is refused today, and the paths of what was left out.

    Args:
        system_providers: as for `config_fields.check`.
    """
    found = fresh(config)
    left_out: list[str] = []
    while problems := config_fields.check(found, system_providers):
        path = next(iter(problems))
        left_out.append(path)
        _drop(found, path.split("."))
    return found, left_out


def _section(row: Row, name: str) -> Any:
    try:
        return row.value(name)
    except ValueError:
        if name == "persona":  # a persona may be a text
            return row.text(name)
        raise


def _drop(config: dict[str, Any], steps: list[str]) -> None:
    """Take out what a path leads to; where a field is missing, the item that lacks it."""
    trail: list[tuple[Any, Any]] = []
    node: Any = config
    for step in steps:
        key: Any = int(step) if isinstance(node, list) else step
        if not _has(node, key):
            items = [(holder, at) for holder, at in trail if isinstance(holder, list)]
            trail = items or trail
            break
        trail.append((node, key))
        node = node[key]
    holder, key = trail[-1] if trail else (config, steps[0])
    del holder[key]


def _has(node: Any, key: Any) -> bool:
    return key < len(node) if isinstance(node, list) else isinstance(node, dict) and key in node
