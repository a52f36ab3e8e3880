"""Column types that behave the same on SQLite and on MySQL."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import BigInteger, DateTime, Dialect, String, Text
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.types import TypeDecorator

# Text beyond the 64 KiB at which MySQL's TEXT ends.
LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as naive UTC with microseconds (DATETIME(6) on MySQL)."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """DATETIME(6) on MySQL, which else drops microseconds."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To naive UTC; a moment without an offset is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs an offset")
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Back to an aware moment."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


class JsonText(TypeDecorator[Any]):
    """A JSON value kept to the letter: order of keys, 1 and 1.0, as text on both databases.

    MySQL's JSON type normalises what it is given and MariaDB's does not, so neither is used.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """LONGTEXT on MySQL, whose TEXT ends at 64 KiB."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(LONGTEXT())
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """To JSON text; None is NULL."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """From JSON text."""
        return None if value is None else orjson.loads(value)

    def compare_values(self, x: Any, y: Any) -> bool:
        """Whether a change changes nothing, to the letter: 1, 1.0 and True are three values."""
        return x is y or orjson.dumps(x) == orjson.dumps(y)


class Money(TypeDecorator[Decimal]):
    """An amount with 9 places, kept as a whole number of 10**-9: sums are exact on both databases.

    SQLite has no decimals, only floats.
    """

    impl = BigInteger
    cache_ok = True
    UNIT = Decimal("0.000000001")
    # For one thing; more is a price that somebody mistyped, and a month's sum has to fit BIGINT.
    MOST = Decimal(10_000_000)

    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> int | None:
        """To a whole number of units; what is smaller is rounded half to even."""
        return None if value is None else int((Decimal(value) / self.UNIT).to_integral_value())

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """From a whole number of units, also when it is a sum."""
        return None if value is None else Decimal(value) * self.UNIT


class Price(TypeDecorator[Decimal]):
    """A price as it was set, of any size, kept as text: equal prices are equal texts.

    Prices are floats of the configuration; as a decimal one has at most 17 digits and an exponent.
    """

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """To the one text that a number has here: 2, 2.0 and 2.00 are `2`."""
        return None if value is None else str(value.normalize())

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """From text."""
        return None if value is None else Decimal(value)
