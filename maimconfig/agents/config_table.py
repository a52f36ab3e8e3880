"""The table of known configuration fields: `config_fields.csv`, read once, at first use.

A path of the table is cut into keys at the dots; `models[]` is an array of objects, `<task>`
stands for each name of TASKS. Checks of values against it are in config_fields.
"""

from __future__ import annotations

import copy
import csv
import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

from maimconfig.agents import config_texts as texts
from maimconfig.i18n import Text

TASKS: Final = (
    "utils",
    "utils_small",
    "replyer",
    "vlm",
    "voice",
    "tool_use",
    "planner",
    "embedding",
    "lpmm_entity_extract",
    "lpmm_rdf_build",
    "lpmm_qa",
)
MISSING: Final = object()

_PLAIN_PERSONA = "persona.(as a plain string)"
_ANY_PERSONA_FIELD = "config_overrides.personality.(any persona field)"

# Ranges that the check of one value can't judge, or that say nothing.
_PROSE = ("", "name of a provider", "names from models or from the system list")
_FORMS = ("digits", "http(s) URL", "platform:id:type")
_BETWEEN = re.compile(r"(?P<low>[\d.]+?)\.\.(?P<high>[\d.]+)(?P<chars> chars)?")
_BOUND = re.compile(r"(?P<sign>>=|>|<=)(?P<bound>\d+)(?: items)?")


@dataclass(frozen=True, slots=True)
class Field:
    """One known field.

    Attributes:
        kind: the table's word for the type, without "(required)".
        required: whether null, absent or an empty text is a problem.
        default: the typed default, or MISSING.
        low, high: bounds of a number, of a text's length or of an array's count.
        above: the lower bound itself is already too low.
        choices: the only texts allowed, when there are any.
        form: what a text must be ("digits"), when the table says so.
        expected: what to tell whoever misses the bounds or the choices.
    """

    kind: str
    required: bool = False
    default: Any = MISSING
    low: float | None = None
    high: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()
    form: str = ""
    expected: Text | None = None


Section: TypeAlias = "dict[str, Field | Section]"


@dataclass(frozen=True, slots=True)
class Table:
    """The table as a tree.

    Attributes:
        fields: what an object may hold, by key.
        plain_persona: `persona` when it is a text.
        secrets: paths whose values are secret; `[]` marks elements of an array.
    """

    fields: Section
    plain_persona: Field
    secrets: tuple[str, ...]


def defaults() -> dict[str, Any]:
    """Every default of the table by section, as a fresh copy.

    Fields of array items and of tasks, and the agent's `tags`, are not part of it.
    """
    return copy.deepcopy(_all_defaults())


def item_defaults(path: str) -> dict[str, Any]:
    """The defaults of one array item or task, as a fresh copy.

    Args:
        path: the item's path in the table, such as "config_overrides.model.api_providers[]".

    Raises:
        KeyError: the table has no such path.
    """
    section = table().fields
    for key in path.split("."):
        section = cast(Section, section[key])
    return copy.deepcopy(_defaults(section))


def secret_kinds() -> tuple[str, ...]:
    """The paths whose values are secret, as in the table; `[]` marks elements of an array."""
    return table().secrets


@functools.cache
def table() -> Table:
    """The table; it is read at the first call and must not be changed."""
    text = importlib.resources.files(__package__).joinpath("config_fields.csv").read_text("utf-8")
    rows = {row["path"]: row for row in csv.DictReader(text.splitlines())}
    plain_persona = _field(rows.pop(_PLAIN_PERSONA))
    del rows[_ANY_PERSONA_FIELD]
    fields: Section = {}
    for path, row in rows.items():
        _place(fields, path.split("."), _field(row))
    _let_personality_override_persona(fields)
    return Table(fields, plain_persona, tuple(_secret_kinds(rows)))


def _place(section: Section, keys: list[str], field: Field) -> None:
    for key in keys[:-1]:
        section = cast(Section, section.setdefault(key, {}))
    section[keys[-1]] = field


def _let_personality_override_persona(fields: Section) -> None:
    persona = cast("dict[str, Field]", fields["persona"])
    overrides = cast(Section, fields["config_overrides"])
    # Without their defaults: a default override would hide the persona of every lower layer.
    overrides["personality"] = {
        name: replace(field, default=MISSING) for name, field in persona.items()
    }


def _secret_kinds(rows: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for path, row in rows.items():
        if row["note"] == "SECRET":
            yield path + "[]" if row["type"].startswith("array") else path
    # An address can carry a password or a token (contract, Secrets).
    yield "config_overrides.model.api_providers[].base_url"


@functools.cache
def _all_defaults() -> dict[str, Any]:
    return _defaults({key: node for key, node in table().fields.items() if key != "tags"})


def _defaults(section: Section) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, node in section.items():
        if isinstance(node, Field):
            if node.default is not MISSING:
                found[key] = node.default
        elif not key.endswith("[]") and key != "<task>" and (inner := _defaults(node)):
            found[key] = inner
    return found


def _field(row: Mapping[str, str]) -> Field:
    kind = row["type"].removesuffix(" (required)")
    default = _typed(kind, row["default"]) if row["default"] else MISSING
    return _with_range(Field(kind, required=kind != row["type"], default=default), row["range"])


def _typed(kind: str, text: str) -> Any:
    if kind == "string":
        return text
    return float(text) if kind == "float" else json.loads(text)


def _with_range(field: Field, text: str) -> Field:
    if text in _PROSE:
        return field
    if text in _FORMS:
        return replace(field, form=text)
    if between := _BETWEEN.fullmatch(text):
        return _between(field, between)
    if bound := _BOUND.fullmatch(text):
        return _bounded(field, bound["sign"], bound["bound"])
    if "|" in text:
        choices = tuple(text.split("|"))
        return replace(field, choices=choices, expected=texts.one_of(choices))
    raise ValueError(f"config_fields.csv has a range that is not understood: {text!r}")


def _between(field: Field, found: re.Match[str]) -> Field:
    expected = texts.LENGTH if found["chars"] else texts.BETWEEN
    expected = expected.format(low=found["low"], high=found["high"])
    return replace(field, low=float(found["low"]), high=float(found["high"]), expected=expected)


def _bounded(field: Field, sign: str, bound: str) -> Field:
    if sign == "<=":
        return replace(field, high=float(bound), expected=texts.AT_MOST_ITEMS.format(bound=bound))
    above = sign == ">"
    expected = (texts.MORE_THAN if above else texts.AT_LEAST).format(bound=bound)
    return replace(field, low=float(bound), above=above, expected=expected)
