"""What became of an object that was carried in, and how it differs from before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from maimconfig.agents import configuration
from maimconfig.agents import service as agents
from maimconfig.agents.merge import changes
from maimconfig.agents.models import Agent
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.plugins.models import PluginSetting
from maimconfig.templates import service as templates
from maimconfig.templates.models import AgentTemplate
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant

Entry: TypeAlias = dict[str, Any]


@dataclass
class Change:
    """What became, or would become, of one object.

    Attributes:
        action: create, update, same or skip.
        kind: tenant, template, agent, api_key or plugin.
        name: its path of names, such as `麦麦客服 / 售后小麦`.
        differences: the leaves that differ, secrets masked.
        left_out: paths of secrets that the file has only masked, and nobody else has.
        secret: of a new key whose secret was made here.
    """

    action: str
    kind: str
    name: str
    differences: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    secret: str | None = None


_SHOWN: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    Tenant: tenants.shown,
    Agent: agents.shown,
    AgentTemplate: templates.shown,
    ApiKey: api_keys.shown,
    PluginSetting: lambda setting: {"enabled": setting.enabled, "config": setting.config},
}


def seen(stored: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An object as people see it, and its configuration as it is sealed."""
    shown = _SHOWN[type(stored)](stored)
    if isinstance(stored, (Agent, AgentTemplate)):
        return without(shown, "config", "config_version"), stored.config
    return shown, {}


def differences(before: Any, after: Any) -> list[dict[str, Any]]:
    """The leaves in which two of what `seen` gave differ, secrets masked."""
    within = [
        {**change, "path": f"config.{change['path']}"}
        for change in configuration.changes(before[1], after[1])
    ]
    return changes(before[0], after[0]) + within


def without(entry: Entry, *names: str) -> Entry:
    """An entry without some of its fields."""
    return {name: value for name, value in entry.items() if name not in names}
