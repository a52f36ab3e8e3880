"""The declarative base and what several tables share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from maimconfig import clock
from maimconfig.db.types import JsonText, UtcDateTime

# utf8mb4_bin is the one collation that MySQL and MariaDB share and that takes Bob and bob,
# e and é, 😀 and 😁 for different.
MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

Id = String(50)
Name = String(100)


class Base(DeclarativeBase):
    """All tables; constraints have names so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime,
        dict[str, Any]: JsonText,
        list[str]: JsonText,
        list[Any]: JsonText,
    }


class Timestamped:
    """created_at and updated_at, from the one clock."""

    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)


class Revisioned(Timestamped):
    """A revision that every change of the row raises by one; it is the object's ETag."""

    revision: Mapped[int] = mapped_column(Integer)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.revision}
