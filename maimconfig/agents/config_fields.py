"""Checks of an agent's configuration against the table of known fields.

What the table does not know is kept as it is and never refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from maimconfig.agents import config_texts as texts
from maimconfig.agents.config_patterns import pattern_problems
from maimconfig.agents.config_table import (
    TASKS,
    Field,
    Section,
    defaults,
    item_defaults,
    secret_kinds,
    table,
)
from maimconfig.i18n import Text

__all__ = ["MASK", "TASKS", "check", "defaults", "item_defaults", "secret_kinds"]

# What a caller reads in place of a secret, and sends back to keep it (contract, Secrets).
MASK: Final = "********"
# A body of 1 MiB can hold half a million wrong values; nobody reads more than the first few.
MAX_PROBLEMS: Final = 100

_MODEL = "config_overrides.model"
_HOUR = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"


class _Problems(dict[str, list[Text]]):
    """Problems by path, of the first MAX_PROBLEMS paths."""

    @property
    def full(self) -> bool:
        return len(self) >= MAX_PROBLEMS

    def add(self, path: str, text: Text) -> None:
        if path in self or not self.full:
            self.setdefault(path, []).append(text)


def check(config: Mapping[str, Any], system_providers: Collection[str]) -> dict[str, list[Text]]:
    """The problems of a configuration by dotted path; empty when there is none.

    Secrets are expected as plain text or as MASK, not as they are stored. Null is fine for every
    field that is not required. No text repeats a value, so none can repeat a secret.

    Args:
        config: the whole configuration.
        system_providers: names of providers that a custom model must not use.

    Returns:
        texts by path ("config_overrides.model.models.0.name"), at most MAX_PROBLEMS paths.
    """
    problems = _Problems()
    known, rest = table(), dict(config)
    persona = rest.get("persona")
    if isinstance(persona, str):
        _check_field(problems, known.plain_persona, "persona", rest.pop("persona"))
    elif persona is not None and not isinstance(persona, dict):
        problems.add("persona", texts.NOT_STRING_OR_OBJECT)
        del rest["persona"]
    _check_section(problems, known.fields, "", rest)
    _check_names(problems, rest, system_providers)
    _check_patterns(problems, rest)
    return dict(problems)


# --- sections and fields ---------------------------------------------------------------------


def _check_section(problems: _Problems, section: Section, path: str, value: Any) -> None:
    if not isinstance(value, dict):
        problems.add(path, texts.NOT_OBJECT)
        return
    for key, node in section.items():
        name = key.removesuffix("[]")
        where, inner = f"{path}.{name}" if path else name, value.get(name)
        if isinstance(node, Field):
            _check_field(problems, node, where, inner)
        elif inner is None:
            continue
        elif key != name:
            _check_items(problems, node, where, inner)
        elif "<task>" in node:
            _check_tasks(problems, node["<task>"], where, inner)
        else:
            _check_section(problems, node, where, inner)


def _check_items(problems: _Problems, section: Section, path: str, value: Any) -> None:
    if not isinstance(value, list):
        problems.add(path, texts.NOT_ARRAY)
        return
    for index, item in enumerate(value):
        _check_section(problems, section, f"{path}.{index}", item)


def _check_tasks(problems: _Problems, task: Any, path: str, value: Any) -> None:
    if not isinstance(value, dict):
        problems.add(path, texts.NOT_OBJECT)
        return
    for name, settings in value.items():
        if name not in TASKS:
            problems.add(f"{path}.{name}", texts.UNKNOWN_TASK)
        elif settings is not None:
            _check_section(problems, task, f"{path}.{name}", settings)


def _check_field(problems: _Problems, field: Field, path: str, value: Any) -> None:
    if value is None or (value == "" and field.required):
        if field.required:
            problems.add(path, texts.REQUIRED)
        return
    problem = _problem(field, value)
    if problem:
        problems.add(path, problem)
    elif isinstance(value, list):
        _check_elements(problems, field.kind, path, value)


def _problem(field: Field, value: Any) -> Text | None:
    """What is wrong with a value as a whole; its elements are left to _check_elements."""
    is_type, wrong_type = _TYPES[field.kind.partition(" ")[0]]
    if not is_type(value):
        return wrong_type
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return texts.TOO_LARGE
    if _out_of_bounds(field, value) or (field.choices and value not in field.choices):
        return field.expected
    if field.form:
        has_form, wrong_form = _FORMS[field.form]
        return None if has_form(value) else wrong_form
    return None


def _out_of_bounds(field: Field, value: Any) -> bool:
    if field.low is None and field.high is None:
        return False
    size = len(value) if isinstance(value, (str, list)) else value
    if field.low is not None and (size < field.low or (field.above and size == field.low)):
        return True
    return field.high is not None and size > field.high


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


_TYPES: dict[str, tuple[Callable[[Any], bool], Text]] = {
    "string": (lambda value: isinstance(value, str), texts.NOT_STRING),
    "int": (_is_int, texts.NOT_INTEGER),
    "float": (_is_number, texts.NOT_NUMBER),
    "bool": (lambda value: isinstance(value, bool), texts.NOT_BOOLEAN),
    "object": (lambda value: isinstance(value, dict), texts.NOT_OBJECT),
    "array": (lambda value: isinstance(value, list), texts.NOT_ARRAY),
}


def _is_url(text: str) -> bool:
    # urlsplit drops control characters by itself, so they are looked for first.
    if text == MASK or re.search(r"[\s\x00-\x1f\x7f]", text):
        return text == MASK
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_FORMS: dict[str, tuple[Callable[[str], object], Text]] = {
    # Empty means not set, as in the other optional texts.
    "digits": (re.compile(r"[0-9]*").fullmatch, texts.NOT_DIGITS),
    "http(s) URL": (_is_url, texts.NOT_URL),
    "platform:id:type": (re.compile(r"(?:[^:]+:.+:[^:]+)?").fullmatch, texts.NOT_STREAM),
    "time": (re.compile(f"{_HOUR}-{_HOUR}").fullmatch, texts.NOT_PERIOD),
}


# --- elements of arrays ----------------------------------------------------------------------

_TEXT = Field("string")
_TEXTS = Field("array of string", required=True)
_FILLED = Field("string", required=True)
_TIMED_RULE: Section = {
    "target": _TEXT,
    "time": Field("string", required=True, form="time"),
    "value": Field("float", required=True),
}
_CONDITION_RULE: Section = {"condition": _FILLED, "value": Field("float", required=True)}
_STATE: Section = {"name": _FILLED, "keywords": Field("array of string")}
_ROWS: dict[str, Section] = {
    "array of {keywords[], reaction}": {"keywords": _TEXTS, "reaction": _FILLED},
    "array of {regex[], reaction}": {"regex": _TEXTS, "reaction": _FILLED},
}


def _check_elements(problems: _Problems, kind: str, path: str, value: list[Any]) -> None:
    if kind == "array":
        return
    for index, item in enumerate(value):
        where = f"{path}.{index}"
        if kind == "array of string":
            if not isinstance(item, str):
                problems.add(where, texts.NOT_STRING)
        elif kind in _ROWS:
            _check_section(problems, _ROWS[kind], where, item)
        elif kind == "array of object":
            _check_section(problems, _rule(item), where, item)
        elif not isinstance(item, str):
            _check_state(problems, where, item)


def _rule(item: Any) -> Section:
    has_condition = isinstance(item, dict) and item.get("condition") is not None
    return _CONDITION_RULE if has_condition else _TIMED_RULE


def _check_state(problems: _Problems, path: str, item: Any) -> None:
    if isinstance(item, dict):
        _check_section(problems, _STATE, path, item)
    else:
        problems.add(path, texts.NOT_STRING_OR_OBJECT)


# --- what one value alone can't show ---------------------------------------------------------


def _listed(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The elements of the array at a path, each with its own path; none when there is no array."""
    node: Any = config
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    for index, item in enumerate(node if isinstance(node, list) else ()):
        yield f"{path}.{index}", item


def _check_names(
    problems: _Problems, config: Mapping[str, Any], system_providers: Collection[str]
) -> None:
    for array in (f"{_MODEL}.models", f"{_MODEL}.api_providers"):
        seen: set[str] = set()
        for path, item in _listed(config, array):
            name = item.get("name") if isinstance(item, dict) else None
            if isinstance(name, str) and name:
                if name in seen:
                    problems.add(f"{path}.name", texts.NAME_REPEATED)
                seen.add(name)
    for path, item in _listed(config, f"{_MODEL}.models"):
        provider = item.get("api_provider") if isinstance(item, dict) else None
        if isinstance(provider, str) and provider in system_providers:
            problems.add(f"{path}.api_provider", texts.SYSTEM_PROVIDER)


def _check_patterns(problems: _Problems, config: Mapping[str, Any]) -> None:
    for path, problem in pattern_problems(_patterns(config)):
        problems.add(path, problem)
        if problems.full:
            return


def _patterns(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = list(_listed(config, "config_overrides.message_receive.ban_msgs_regex"))
    for path, row in _listed(config, "config_overrides.keyword_reaction.regex_rules"):
        if isinstance(row, dict):
            found += ((f"{path}.{inner}", text) for inner, text in _listed(row, "regex"))
    return ((path, text) for path, text in found if isinstance(text, str))
