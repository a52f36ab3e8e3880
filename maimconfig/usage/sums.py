"""Sums of usage, kept in the transaction that stores or deletes its records.

A report of a year would else read a million records. It puts whole years, months, days and
hours together, and reads the records of what is left at both ends (`spans`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import and_, bindparam, delete, or_
from sqlalchemy.dialects import mysql, sqlite

from maimconfig.db.session import Session
from maimconfig.db.statements import Statement
from maimconfig.db.types import Money, Price
from maimconfig.usage.models import UsageSum

LENGTHS = {"hour": 13, "day": 10, "month": 7, "year": 4}  # of a period as text
COLUMNS = ("agent", "api_key", "user", "model", "action")
# There may be thousands of these, of which each month has its own.
MANY = ("agent", "api_key", "user")
KINDS = (
    *(f"all {length}" for length in ("hour", "day", "month")),
    *(f"{column} {length}" for column in COLUMNS for length in ("day", "month")),
    *(f"{column} year" for column in MANY),
    "price month",
)
KEY = ("scope", "kind", "period", "part")
MEASURES = ("requests", "errors", "tokens_in_high", "tokens_in_low", "tokens_out_high",
            "tokens_out_low", "cost_high", "cost_low")  # fmt: skip
_ATTRIBUTES = {"agent": "agent_id", "api_key": "api_key_id", "user": "user_id"}
_CHUNK = 100

Key = tuple[str, str, str, str]


def add(session: Session, record: Mapping[str, Any]) -> None:
    """Count a record that is stored in this unit.

    Args:
        record: by the names of `UsageRecord`; what is left out is None, 0 or False.
    """
    values: dict[str, Any] = dict(zip(_GIVEN, _measures(record), strict=True))
    for number, (scope, _, period, part) in enumerate(_keys(record)):
        values |= {"scope_of": scope, f"period_{number}": period, f"part_{number}": part}
    _ADD[session.runtime.database.is_sqlite].run(session, **values)


def subtract(session: Session, records: Iterable[Mapping[str, Any]]) -> None:
    """Take records away that are deleted in this unit, which has locked them."""
    gone: dict[Key, list[int]] = {}
    for record in records:
        measures = _measures(record)
        for key in _keys(record):
            known = gone.setdefault(key, [0] * len(MEASURES))
            for place, number in enumerate(measures):
                known[place] -= number
    # All in one order, so that two don't wait for each other.
    keys = sorted(gone)
    if keys:
        names = [f"new_{name}" for name in (*KEY, *MEASURES)]
        rows = [dict(zip(names, (*key, *gone[key]), strict=True)) for key in keys]
        session.connection().execute(_UPSERT[session.runtime.database.is_sqlite], rows)
    remaining = iter(keys)
    while chunk := list(islice(remaining, _CHUNK)):
        session.connection().execute(_EMPTY, _chosen(chunk))


def part_of(value: str | None) -> str:
    """A group as `UsageSum.part` has it: None is another than the empty text, and the first."""
    return "" if value is None else f"={value}"


def group_of(part: str) -> str | None:
    """The group that `part_of` wrote."""
    return part[1:] if part else None


def model_and_prices(part: str) -> tuple[str | None, str | None, str | None]:
    """Of a `price` part: the model, and its prices for what goes in and out."""
    price_in, price_out, model = part.split(" ", 2)
    return group_of(model), price_in or None, price_out or None


def _keys(record: Mapping[str, Any]) -> Iterator[Key]:
    """Where a record counts, in the order of `KINDS`."""
    scope, hour = record.get("tenant_id") or "", record["hour"]
    parts = {name: part_of(record.get(_ATTRIBUTES.get(name, name))) for name in COLUMNS}
    prices = (_price(record.get(name)) for name in ("price_in", "price_out"))
    parts |= {"all": "", "price": " ".join((*prices, parts["model"]))}
    for kind in KINDS:
        what, length = kind.split()
        yield scope, kind, hour[: LENGTHS[length]], parts[what]


def _price(price: Any) -> str:
    return Price().process_bind_param(price, _NO_DIALECT) or ""


def _measures(record: Mapping[str, Any]) -> list[int]:
    cost = Money().process_bind_param(record.get("cost"), _NO_DIALECT)
    numbers = [1, int(record.get("is_error") or 0)]
    for number in (record.get("tokens_in"), record.get("tokens_out"), cost):
        numbers += [(number or 0) >> 32, (number or 0) & 2**32 - 1]
    return numbers


def _upserts(rows: Any) -> dict[bool, Any]:
    """The statement that adds rows to those that are there, by whether it is for SQLite."""
    lite = sqlite.insert(UsageSum).values(rows)
    my = mysql.insert(UsageSum).values(rows)
    table = UsageSum.__table__.c
    return {
        True: lite.on_conflict_do_update(
            index_elements=list(KEY),
            set_={name: table[name] + lite.excluded[name] for name in MEASURES},
        ),
        False: my.on_duplicate_key_update(
            {name: table[name] + my.inserted[name] for name in MEASURES}
        ),
    }


def _chosen(keys: list[Key]) -> dict[str, str]:
    # The last is chosen again and again, so that the statement is always the same.
    keys = keys + [keys[-1]] * (_CHUNK - len(keys))
    return {f"{name}_{number}": value for number, key in enumerate(keys)
            for name, value in zip(KEY, key, strict=True)}  # fmt: skip


_NO_DIALECT: Any = None
_GIVEN = tuple(f"given_{name}" for name in MEASURES)
_ADD: dict[bool, Statement[Any]] = {
    is_sqlite: Statement(statement)
    for is_sqlite, statement in _upserts(
        [
            {"scope": bindparam("scope_of"), "kind": kind, "period": bindparam(f"period_{number}"),
             "part": bindparam(f"part_{number}"),
             **{name: bindparam(f"given_{name}") for name in MEASURES}}
            for number, kind in enumerate(KINDS)
        ]
    ).items()
}  # fmt: skip
_UPSERT = _upserts({name: bindparam(f"new_{name}") for name in (*KEY, *MEASURES)})
_EMPTY = delete(UsageSum).where(
    UsageSum.requests == 0,
    or_(
        *(
            and_(*(getattr(UsageSum, name) == bindparam(f"{name}_{number}") for name in KEY))
            for number in range(_CHUNK)
        )
    ),
)
