"""Column types behave the same on SQLite and on MySQL."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import StatementError

from maimconfig.db.base import MYSQL_TABLE
from maimconfig.db.session import Database
from maimconfig.db.types import JsonText, Money, Price, UtcDateTime

UTC = timezone.utc


@pytest.fixture
def table(database: Database) -> Table:
    """A table with a column of each type."""
    made = Table(
        "things",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("moment", UtcDateTime),
        Column("value", JsonText),
        Column("amount", Money),
        Column("price", Price),
        **MYSQL_TABLE,
    )
    made.create(database.writer)
    return made


def _round_trip(database: Database, table: Table, name: str, value: Any) -> Any:
    with database.writer.begin() as connection:
        connection.execute(insert(table).values(id=1, **{name: value}))
        return connection.scalar(select(table.c[name]))


def test_microseconds(database: Database, table: Table) -> None:
    """A moment comes back with its microseconds, in UTC, whatever its offset was."""
    moment = datetime(2026, 11, 23, 10, 30, 0, 123456, timezone(timedelta(hours=8)))
    found = _round_trip(database, table, "moment", moment)
    assert found == moment
    assert found.utcoffset() == timedelta(0)
    assert found.microsecond == 123456


def test_naive_moment(database: Database, table: Table) -> None:
    """A moment without an offset is refused."""
    with pytest.raises(StatementError, match="offset"):
        _round_trip(database, table, "moment", datetime(2026, 11, 23))


@pytest.mark.parametrize(
    "value",
    [
        {"b": 1, "a": {"z": [1, 1.0, True, None, "é😀"]}},
        [],
        "text ",
        0,
        False,
        2**64 - 1,
        -(2**63),
        {"deep": [[[[{}]]]]},
    ],
)
def test_json_to_the_letter(database: Database, table: Table, value: Any) -> None:
    """JSON comes back with the same types and the same order of keys."""
    assert repr(_round_trip(database, table, "value", value)) == repr(value)


def test_large_json(database: Database, table: Table) -> None:
    """A value of more than 64 KiB comes back whole."""
    assert _round_trip(database, table, "value", "麦" * 100_000) == "麦" * 100_000


def test_money_sums(database: Database, table: Table) -> None:
    """A sum of amounts is exact to the last digit."""
    amounts = [Decimal("0.1"), Decimal("0.2"), Decimal("0.000000001"), Decimal("9999999.999999999")]
    with database.writer.begin() as connection:
        connection.execute(insert(table), [{"amount": amount} for amount in amounts])
        assert connection.scalar(select(func.sum(table.c.amount))) == sum(amounts)


def test_money_rounding(database: Database, table: Table) -> None:
    """What is smaller than 10**-9 is rounded half to even."""
    assert _round_trip(database, table, "amount", Decimal("0.0000000025")) == Decimal("2e-9")


@pytest.mark.parametrize(
    "number", [0.0, 0.1, 2.0, 100.0, 5e-324, 0.12345678901234567, 1.7976931348623157e308]
)
def test_prices(number: float, database: Database, table: Table) -> None:
    """A price of any size comes back as it was."""
    price = Decimal(str(number))
    assert _round_trip(database, table, "price", price) == price


def test_equal_prices(database: Database, table: Table) -> None:
    """Equal prices are one group, however they were written."""
    with database.writer.begin() as connection:
        for number, price in enumerate(("2", "2.0", "2.00", "2e0", "20"), 1):
            connection.execute(insert(table).values(id=number, price=Decimal(price)))
        groups = select(table.c.price, func.count()).group_by(table.c.price)
        found = {tuple(row) for row in connection.execute(groups)}
    assert found == {(Decimal(2), 4), (Decimal(20), 1)}
