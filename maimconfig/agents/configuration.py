"""An agent's configuration as it is stored and shown: checked, sealed, masked, versioned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from maimconfig.agents import config_fields, config_secrets, merge
from maimconfig.agents.config_secrets import MASK, MaskedSecretUnknown
from maimconfig.db.session import Session
from maimconfig.http.errors import AgentConfigInvalid
from maimconfig.i18n import Text

SECTIONS = ("persona", "bot_overrides", "config_overrides")
NOTHING_TO_KEEP = Text(
    "没有已保存的值，不能用 ******** 表示保留", "There is no stored value that ******** could keep"
)


def sealed(
    session: Session, config: Mapping[str, Any], stored: Mapping[str, Any], path: str = ""
) -> dict[str, Any]:
    """Check a configuration that a caller sent, and seal its secrets.

    Args:
        config: as sent; `********` keeps the stored secret.
        stored: the sealed configuration that it takes the place of.
        path: where it stands in the body, for the error's details.

    Raises:
        AgentConfigInvalid: with the path of each field that is wrong.
    """
    problems = config_fields.check(config, session.runtime.catalogue.provider_names)
    if problems:
        raise AgentConfigInvalid(
            details={f"{path}{field}": texts for field, texts in problems.items()}
        )
    try:
        return config_secrets.prepare(config, stored, session.runtime.vault)
    except MaskedSecretUnknown as error:
        raise AgentConfigInvalid(details={f"{path}{error.path}": [NOTHING_TO_KEEP]}) from error


def patched(
    session: Session, stored: Mapping[str, Any], patch: Mapping[str, Any], path: str = ""
) -> dict[str, Any]:
    """The stored configuration with a caller's partial one merged in (RFC 7396).

    The merge works on what the caller sees, secrets masked, so that a mask it sends back and
    a secret it doesn't mention are kept in the same way.
    """
    return sealed(session, merge.merge_patch(config_secrets.mask(stored), patch), stored, path)


def shown(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration to the letter, secrets masked."""
    return config_secrets.mask(stored)


def with_sections(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration with its three sections always there, secrets masked."""
    return {**{section: {} for section in SECTIONS}, **shown(stored)}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What differs between two stored configurations; a changed secret shows as masks."""
    visible = {change["path"]: change for change in merge.changes(shown(before), shown(after))}
    hidden = {"op": "replace", "before": MASK, "after": MASK}
    return [
        visible.get(change["path"], {"path": change["path"], **hidden})
        for change in merge.changes(before, after)
    ]


def layers(
    session: Session,
    own: Mapping[str, Any],
    template: Mapping[str, Any] | None,
    readable: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers of an agent's configuration, the lowest first.

    Args:
        own, template: as they are stored.
        readable: makes of a stored configuration one whose secrets are masked, or in the clear.
    """
    found: list[tuple[str, Mapping[str, Any]]] = [
        ("system", _as_layer(session.runtime.bot_defaults))
    ]
    if template is not None:
        found.append(("template", readable(template)))
    return [*found, ("agent", readable(own))]


def _as_layer(bot_defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Bot defaults as a layer; a MaiBot TOML has its sections at the top."""
    layer: dict[str, Any] = {section: dict(bot_defaults.get(section, {})) for section in SECTIONS}
    for name, section in bot_defaults.items():
        if name == "personality":
            layer["persona"].update(section)
        elif name == "bot":
            layer["bot_overrides"].update(section)
        elif name not in SECTIONS and isinstance(section, dict):
            layer["config_overrides"].setdefault(name, section)
    return layer
