"""Statements that are compiled once: what they store and find, on both databases."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import bindparam, select, update

from maimconfig import clock
from maimconfig.db.ids import new_id
from maimconfig.db.statements import Addition, Statement
from maimconfig.runtime import Runtime
from maimconfig.usage.models import UsageRecord

ADDITION = Addition(UsageRecord)
FOUND: Statement[tuple[Any, ...]] = Statement(
    select(
        UsageRecord.moment, UsageRecord.cost, UsageRecord.price_in, UsageRecord.details,
        UsageRecord.is_error, UsageRecord.model, UsageRecord.tokens_in,
    ).where(UsageRecord.id == bindparam("wanted"))
)  # fmt: skip
PRICED: Statement[Any] = Statement(
    update(UsageRecord).where(UsageRecord.id == bindparam("wanted")).values(cost=bindparam("price"))
)


def entry(**given: Any) -> dict[str, Any]:
    columns = {"action": "test", "details": {}, "moment": clock.now(), "day": "d", "hour": "h"}
    return {"id": new_id("usage"), **columns, **given}


def test_types(runtime: Runtime) -> None:
    """Values come back as the models' types have them, and what isn't given is the default."""
    moment = clock.now()
    details = {"b": 1, "a": [1.0, None, "麦麦 %s %(x)s ?"]}
    stored = entry(
        moment=moment, cost=Decimal("0.000000003"), price_in=Decimal("2.50"), details=details
    )

    def work(session: Any) -> Any:
        ADDITION.run(session, **stored)
        return FOUND.first(session, wanted=stored["id"])

    found = runtime.write(work)
    expected = (moment, Decimal("0.000000003"), Decimal("2.5"), details, False, None, 0)
    assert found == expected
    assert isinstance(found[0] - moment, timedelta)
    assert list(found[3]) == ["b", "a"]


def test_rows(runtime: Runtime) -> None:
    """A change tells how many rows there were to change, also when they were so already."""
    stored = entry()

    def work(session: Any) -> list[int]:
        ADDITION.run(session, **stored)
        asked = [stored["id"], stored["id"], "usage_none"]
        return [PRICED.run(session, wanted=wanted, price=Decimal(1)) for wanted in asked]

    assert runtime.write(work) == [1, 1, 0]
    assert runtime.write(lambda session: FOUND.all(session, wanted="usage_none")) == []


def test_one_transaction(runtime: Runtime) -> None:
    """What a unit stored is gone when it fails, as with the ORM."""
    stored = entry()

    def work(session: Any) -> None:
        ADDITION.run(session, **stored)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runtime.write(work)
    assert runtime.write(lambda session: FOUND.first(session, wanted=stored["id"])) is None


def test_unknown_column(runtime: Runtime) -> None:
    """A column that the model doesn't have is a mistake that shows."""
    with pytest.raises(TypeError, match="costs"):
        runtime.write(lambda session: ADDITION.run(session, **entry(costs=1)))


def test_killed_connection(runtime: Runtime) -> None:
    """A connection that the server has closed is noticed, and the unit runs again on a new one."""
    if runtime.database.is_sqlite:
        return
    seen: list[int] = []

    def work(session: Any) -> None:
        seen.append(session.of_unit.exec_driver_sql("SELECT CONNECTION_ID()").scalar())
        if len(seen) == 1:
            with runtime.database.reader.connect() as other:
                other.exec_driver_sql(f"KILL {seen[0]}")
        FOUND.first(session, wanted="x")

    runtime.write(work)
    assert len(set(seen)) == 2
