"""Moving in from the older services: ids, keys and passwords stay good."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError

from maimconfig.db.session import Session
from maimconfig.http.errors import AppError
from maimconfig.moving import legacy_rows
from maimconfig.moving.errors import sentence
from maimconfig.moving.legacy_columns import Skipped
from maimconfig.moving.legacy_rows import Notes
from maimconfig.moving.legacy_source import Row, Source
from maimconfig.moving.service import ACTOR
from maimconfig.runtime import Runtime

BATCH = 50

Take: TypeAlias = Callable[[Session, Row], Notes]
Step: TypeAlias = "tuple[str, Take, list[Row]]"


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Attributes:
        kind: its table.
        id: of the row, as far as it has one.
        action: moved, kept (it is here already) or skipped.
        notes: why it was skipped, or what was changed.
    """

    kind: str
    id: str
    action: str
    notes: list[str] = field(default_factory=list)


class _Undone(Exception):
    """Rolls a dry run back, and carries out what it found."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


def bring(runtime: Runtime, source: Source, progress: Callable[[int, int], None]) -> list[Outcome]:
    """Take over every row that can be, some in a transaction; a row that can't is left out.

    It may be run again: what is here already stays as it is.

    Args:
        progress: told of the rows that are done and of all.
    """
    batches = [
        (kind, take, rows[start : start + BATCH])
        for kind, take, rows in _steps(source)
        for start in range(0, len(rows), BATCH)
    ]
    total = sum(len(rows) for _, _, rows in batches)
    outcomes: list[Outcome] = []
    for batch in batches:
        outcomes += runtime.write(partial(_run, steps=[batch]), ACTOR)
        progress(len(outcomes), total)
    return outcomes


def foresee(runtime: Runtime, source: Source) -> list[Outcome]:
    """What `bring` would do: it is done in one transaction, which is rolled back."""
    steps = _steps(source)

    def undo(session: Session) -> None:
        raise _Undone(_run(session, steps))

    try:
        runtime.write(undo, ACTOR)
    except _Undone as undone:
        return undone.outcomes
    raise AssertionError("unreachable")


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What was skipped or changed and why, row by row, and how many rows became what."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(outcome.kind, Counter())[outcome.action] += 1
        for note in outcome.notes:
            yield f"{outcome.action} {outcome.kind} {outcome.id}: {note}"
    for kind, count in counts.items():
        yield (
            f"{kind}: {count['moved']} moved, {count['kept']} here already, "
            f"{count['skipped']} skipped"
        )


def _steps(source: Source) -> list[Step]:
    """The tables in the order in which their rows need one another."""
    configs: dict[str | None, list[Row]] = defaultdict(list)
    for row in source.rows("agent_configs"):
        configs[row.text("agent_id")].append(row)

    def agent(session: Session, row: Row) -> Notes:
        return legacy_rows.agent(session, row, configs[row.text("id", "agent_id")])

    return [
        ("users", legacy_rows.user, source.rows("users")),
        ("tenants", legacy_rows.tenant, source.rows("tenants")),
        ("personal tenants", legacy_rows.personal_tenant, source.rows("users")),
        ("agents", agent, source.rows("agents")),
        ("api_keys", legacy_rows.api_key, source.rows("api_keys")),
        ("agent_active_states", legacy_rows.active_state, source.rows("agent_active_states")),
        ("plugin_settings", legacy_rows.plugin_setting, source.rows("plugin_settings")),
    ]


def _run(session: Session, steps: Sequence[Step]) -> list[Outcome]:
    return [_one(session, kind, take, row) for kind, take, rows in steps for row in rows]


def _one(session: Session, kind: str, take: Take, row: Row) -> Outcome:
    row_id = row.text("id", f"{kind.removesuffix('s')}_id", "agent_id", "tenant_id") or "?"
    try:
        # In a savepoint: a row that fails takes only its own changes back.
        with session.begin_nested():
            notes = take(session, row)
    except Skipped as error:
        return Outcome(kind, row_id, "skipped", [str(error)])
    except AppError as error:
        return Outcome(kind, row_id, "skipped", [sentence(error)])
    except (StatementError, ValueError, TypeError) as error:
        if isinstance(error, (OperationalError, InterfaceError)):  # a deadlock, an outage
            raise
        return Outcome(kind, row_id, "skipped", [f"it can't be stored: {_driver_text(error)}"])
    if notes is None:
        return Outcome(kind, row_id, "kept")
    return Outcome(kind, row_id, "moved", notes)


def _driver_text(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", error)).split())[:200]
