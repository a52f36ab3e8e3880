"""docs/configuration.md and `maimconfig settings`, from the rows of `Settings`."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from maimconfig.settings import Settings, variable_names

_HEAD = """\
# Configuration

Every setting is an environment variable, or a key of `config.toml` in the instance folder
(`MAIMCONFIG_INSTANCE`); the variable wins. A wrong value stops the start with one sentence that
names it. `maimconfig settings` shows what is in force.

This page is generated: `maimconfig settings --markdown > docs/configuration.md`.

| variable | key in config.toml | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The reference page in Markdown."""
    return _HEAD + "".join(_line(row) for row in fields(Settings))


def in_force(settings: Settings) -> str:
    """One line a setting: its name and its value, secrets as `********`."""
    return "".join(f"{row.name} = {_shown(row, settings)}\n" for row in fields(settings))


def _line(row: Field[Any]) -> str:
    names = "<br>".join(f"`{name}`" for name in variable_names(row))
    # config.toml is in the instance folder, so it can't say where that is.
    key = "" if row.name == "instance" else f"`{row.name}`"
    return f"| {names} | {key} | {_default(row)} | {row.metadata['doc']} |\n"


def _default(row: Field[Any]) -> str:
    shown: str | None = row.metadata["shown_default"]
    if shown is not None:
        return shown
    if row.default is None:
        return "none"
    return str(row.default).lower() if isinstance(row.default, bool) else str(row.default)


def _shown(row: Field[Any], settings: Settings) -> str:
    value = getattr(settings, row.name)
    if row.name == "database_url":
        return str(settings.database_url.render_as_string(hide_password=True))
    if row.metadata["secret"]:
        return "********" if value != row.default else "not set"
    return str(value)
