"""The templates that come with the system."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from maimconfig.agents.config_fields import check
from maimconfig.templates.builtin import BUILTIN_TEMPLATES, BuiltinTemplate

each = pytest.mark.parametrize("template", BUILTIN_TEMPLATES, ids=lambda template: template.id)


def test_ids() -> None:
    """Agents refer to these ids, so they never change."""
    assert [template.id for template in BUILTIN_TEMPLATES] == [
        "tmpl_builtinfriendly",
        "tmpl_builtinexpert",
        "tmpl_builtincreative",
        "tmpl_builtincaring",
        "tmpl_builtinefficient",
    ]


def test_names() -> None:
    """Each has a name of its own."""
    assert len({template.name for template in BUILTIN_TEMPLATES}) == 5


@each
def test_id_fits_the_contract(template: BuiltinTemplate) -> None:
    """An id is a typed prefix and a suffix of [a-z0-9], at most 50 characters."""
    assert re.fullmatch(r"tmpl_[a-z0-9]+", template.id)
    assert len(template.id) <= 50


@each
def test_config_is_fine(template: BuiltinTemplate) -> None:
    """Its configuration passes the checks of an agent's."""
    assert check(template.config, ()) == {}
    assert check({"tags": list(template.tags)}, ()) == {}


@each
def test_persona_is_whole(template: BuiltinTemplate) -> None:
    """It says how the agent is, replies and behaves."""
    wanted = ("personality", "reply_style", "interest", "plan_style", "private_plan_style")
    assert all(template.config["persona"][name] for name in wanted)
    assert all((template.name, template.description, template.category, template.tags))


@each
def test_config_is_json(template: BuiltinTemplate) -> None:
    """Its configuration comes through JSON unchanged."""
    assert json.loads(json.dumps(template.config)) == template.config


@each
def test_frozen(template: BuiltinTemplate) -> None:
    """It can't be changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        template.name = "other"  # type: ignore[misc]
