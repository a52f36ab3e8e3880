"""Permissions of API keys: their names, and groups that stand for several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from maimconfig.http.errors import PermissionsInvalid
from maimconfig.i18n import Text

ALL = "*"
MAX_PERMISSIONS = 100
# Of more than that nobody is told what is wrong with each.
MAX_NAMED = 1000

# Contract, API keys; `chat`, `config_read`, `config_write` and `analytics` mean something here.
NAME = re.compile(r"[a-z][a-z0-9_.:-]{0,63}\Z")

MALFORMED = Text(
    "必须是 * 或匹配 [a-z][a-z0-9_.:-]{0,63}", "Must be * or match [a-z][a-z0-9_.:-]{0,63}"
)
TOO_MANY = Text(f"最多{MAX_PERMISSIONS}项", f"At most {MAX_PERMISSIONS}")


def check(permissions: Sequence[str] | None, path: str = "permissions") -> None:
    """Refuse permissions that can't be.

    Raises:
        PermissionsInvalid: with the path of each that is wrong.
    """
    wrong = {
        f"{path}.{index}": [MALFORMED]
        for index, name in enumerate(permissions or ())
        if name != ALL and not NAME.match(name)
    }
    if len(permissions or ()) > MAX_PERMISSIONS:
        wrong[path] = [TOO_MANY]
    if wrong:
        raise PermissionsInvalid(details=wrong)


def check_groups(groups: Mapping[str, Sequence[str]], path: str) -> None:
    """Refuse groups whose own names, or whose members, can't be permissions.

    Raises:
        PermissionsInvalid: with the path of what is wrong in the first such group.
    """
    for name, members in groups.items():
        where = f"{path}.{name[:64]}"
        if name != ALL and not NAME.match(name):
            raise PermissionsInvalid(details={where: [MALFORMED]})
        check(members, where)


def expand(permissions: Sequence[str], groups: Mapping[str, Iterable[str]]) -> list[str]:
    """The permissions with each group's name followed by its members, each once, in order."""
    found: dict[str, None] = {}
    for permission in permissions:
        found[permission] = None
        found.update(dict.fromkeys(groups.get(permission, ())))
    return list(found)


def allows(permissions: Sequence[str], wanted: str, groups: Mapping[str, Iterable[str]]) -> bool:
    """Whether permissions, with the tenant's groups, include the wanted one."""
    if wanted in permissions or ALL in permissions:
        return True
    held = expand(permissions, groups) if groups else permissions
    return wanted in held or ALL in held
