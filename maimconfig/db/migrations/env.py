"""Alembic's entry: runs the migrations on the connection it is given."""

from __future__ import annotations

from typing import Any

from alembic import context
from alembic.ddl import mysql
from sqlalchemy import Index, inspect

from maimconfig.db.all_models import metadata


class MySQLImpl(mysql.MySQLImpl):
    """Asks for an index itself: MariaDB knows `IF NOT EXISTS` and `IF EXISTS` of it, MySQL not.

    Alembic takes the class that was defined last for a dialect.
    """

    __dialect__ = "mysql"

    def create_index(self, index: Index, if_not_exists: bool = False, **options: Any) -> None:
        """Create an index."""
        if not (if_not_exists and self._has(index)):
            super().create_index(index, **options)

    def drop_index(self, index: Index, if_exists: bool = False, **options: Any) -> None:
        """Drop an index."""
        if not if_exists or self._has(index):
            super().drop_index(index, **options)

    def _has(self, index: Index) -> bool:
        assert index.table is not None
        assert index.name is not None
        return inspect(self.connection).has_index(index.table.name, index.name)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
