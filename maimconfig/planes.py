"""The one table: which blueprint is on which plane, and what the caller must show.

Nothing is mounted without a row: the public plane can't become a way into the internal one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from flask_smorest import Blueprint

Plane = Literal["internal", "public"]
Access = Literal["network", "open"]

PLANES: tuple[Plane, ...] = ("internal", "public")


@dataclass(frozen=True)
class Mount:
    """A row of the table.

    Attributes:
        module: where the blueprint is, as `package.module:name`.
        access: by plane, what the caller must show; `network` is nothing but being on the
            trusted network (and the internal token where one is set), `open` is nothing.
    """

    module: str
    access: dict[Plane, Access]

    def blueprint(self) -> Blueprint:
        """The blueprint itself."""
        module, _, name = self.module.partition(":")
        found: Blueprint = getattr(import_module(module), name)
        return found


MOUNTS: tuple[Mount, ...] = (
    Mount("maimconfig.health.routes:blp", {"internal": "open", "public": "open"}),
    Mount("maimconfig.tenants.routes:blp", {"internal": "network"}),
    Mount("maimconfig.agents.routes:blp", {"internal": "network"}),
    Mount("maimconfig.templates.routes:blp", {"internal": "network"}),
    Mount("maimconfig.api_keys.routes:blp", {"internal": "network"}),
    Mount("maimconfig.key_checks.routes:blp", {"internal": "network"}),
    Mount("maimconfig.activity.routes:blp", {"internal": "network"}),
    Mount("maimconfig.plugins.routes:blp", {"internal": "network"}),
    Mount("maimconfig.usage.routes:blp", {"internal": "network"}),
    Mount("maimconfig.usage.routes:log_blp", {"internal": "network"}),
    Mount("maimconfig.audit.routes:blp", {"internal": "network"}),
    Mount("maimconfig.system.routes:blp", {"internal": "network"}),
)


def mounts_of(plane: Plane) -> tuple[Mount, ...]:
    """The rows of one plane."""
    return tuple(mount for mount in MOUNTS if plane in mount.access)
