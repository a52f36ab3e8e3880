"""Carrying a file in: for real a tenant at a time, or all of it and back again for a dry run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from maimconfig.db.session import Actor, Session
from maimconfig.moving.carrier import Carrier, Mode
from maimconfig.moving.changes import Change
from maimconfig.runtime import Runtime

ACTOR = Actor("cli")

Part = Callable[[Carrier], None]


class _Undone(Exception):
    """Rolls a dry run back, and carries out what it found."""

    def __init__(self, changes: list[Change]) -> None:
        super().__init__()
        self.changes = changes


def carry(
    runtime: Runtime,
    document: dict[str, Any],
    mode: Mode,
    progress: Callable[[int, int], None],
) -> list[Change]:
    """Bring a document in, each tenant in a transaction of its own.

    Args:
        document: as `document.read` gives it.
        progress: told of the tenants that are done and of all.

    Raises:
        MovingError: an object can't be stored; the tenants before it are in, and to run it again
            does them no harm.
    """
    parts = _parts(document)
    found: list[Change] = []
    for done, part in enumerate(parts, 1):
        found += runtime.write(partial(_run, parts=[part], mode=mode), ACTOR)
        progress(done, len(parts))
    return found


def foresee(runtime: Runtime, document: dict[str, Any], mode: Mode) -> list[Change]:
    """What `carry` would change: it is done in one transaction, which is rolled back.

    Raises:
        MovingError: an object can't be stored.
    """

    def undo(session: Session) -> None:
        raise _Undone(_run(session, _parts(document), mode))

    try:
        runtime.write(undo, ACTOR)
    except _Undone as undone:
        return undone.changes
    raise AssertionError("unreachable")


def _parts(document: dict[str, Any]) -> list[Part]:
    def for_all(carrier: Carrier) -> None:
        for template in document["templates"]:
            carrier.template(template)

    def one(carrier: Carrier, entry: dict[str, Any]) -> None:
        carrier.tenant(entry)

    return [for_all, *(partial(one, entry=entry) for entry in document["tenants"])]


def _run(session: Session, parts: list[Part], mode: Mode) -> list[Change]:
    carrier = Carrier(session, mode)
    for part in parts:
        part(carrier)
    return carrier.changes
