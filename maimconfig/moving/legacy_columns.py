"""The columns of older rows, made fit for ours; what had to be changed is noted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from marshmallow import ValidationError

from maimconfig.agents.models import MAX_TAG_LENGTH
from maimconfig.db.session import Session
from maimconfig.http.fields import as_id
from maimconfig.moving.legacy_source import Row
from maimconfig.permissions import ALL, MAX_PERMISSIONS
from maimconfig.permissions import NAME as PERMISSION
from maimconfig.tenants.schemas import check_quotas

NAME_LENGTH, EMAIL_LENGTH = 100, 254


class Skipped(Exception):
    """A row can't be taken over; the text says why."""


def id_of(row: Row, *names: str) -> str:
    """The id of a row.

    Raises:
        Skipped: it can't be one here.
    """
    found = as_id(row.text(*names) or "")
    if not found:
        raise Skipped("its id can't be one here")
    return found


def name_of(row: Row, otherwise: str, *names: str) -> str:
    """A name that fits, or what it is called otherwise."""
    return (row.text(*names) or otherwise)[:NAME_LENGTH].strip()


def free_name(session: Session, own: Any, column: Any, wanted: str, row_id: str) -> str:
    """The name, or one with the id's end behind it where an object of the same owner has it."""
    if session.scalar(own.where(column == wanted).limit(1)) is None:
        return wanted
    return f"{wanted[: NAME_LENGTH - 12]} ({row_id[-8:]})"


def choice(
    row: Row, column: str, choices: Iterable[str], otherwise: str, *names: str
) -> tuple[str, list[str]]:
    """One of the choices, as the older services wrote it; with a note where it was none."""
    told = row.text(column, *names)
    found = (told or otherwise).rpartition(".")[2].casefold()  # TenantType.PERSONAL
    if found in choices:
        return found, []
    return otherwise, [f"{column} {told} is now {otherwise}"]


def status(row: Row, choices: Sequence[str], off: str = "inactive") -> tuple[str, list[str]]:
    """The status of a row, from a word or a flag."""
    found, notes = choice(row, "status", choices, choices[0] if is_active(row) else off)
    return (found if found != choices[0] or is_active(row) else off), notes


def is_active(row: Row) -> bool:
    """Whether a row is switched on, by its word and by its flag, as far as it has them."""
    told = (row.text("status") or "active").rpartition(".")[2].casefold()
    return told == "active" and row.flag("is_active", "active", default=True)


def tenant_config(row: Row) -> tuple[dict[str, Any], list[str]]:
    """The free-form part of a tenant, without quotas that are none."""
    config = row.value("tenant_config", "config") or {}
    if not isinstance(config, dict):
        return {}, ["tenant_config was left out: it's no object"]
    try:
        check_quotas(config)
    except ValidationError:
        config = {name: value for name, value in config.items() if name != "quotas"}
        return config, ["its quotas were left out: they aren't numbers"]
    return config, []


def tags(given: Any) -> list[str]:
    """The tags that can be kept."""
    found = [str(tag).strip() for tag in given] if isinstance(given, list) else []
    return [tag for tag in found if 1 <= len(tag) <= MAX_TAG_LENGTH]


def permissions_of(given: Any) -> tuple[list[str], list[str]]:
    """The permissions that can be kept, and notes about the others."""
    told = [str(name) for name in given] if isinstance(given, list) else []
    good = [name for name in told if name == ALL or PERMISSION.match(name)][:MAX_PERMISSIONS]
    notes = [f"permission {name} was left out" for name in told if name not in good]
    return good, notes
