"""A database with all tables: made by the migrations, emptied between tests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    delete,
    literal,
    make_url,
    select,
    true,
    union_all,
)


class MigratedDatabase:
    """A database at the newest schema.

    Attributes:
        url: for those who test on it.
    """

    def __init__(self, url: str) -> None:
        """Run the migrations.

        Args:
            url: of an empty database.
        """
        # Imported here so that a broken model fails the tests that need it, not the whole run.
        from maimconfig.db import migrations
        from maimconfig.db.session import Database

        self.url = url
        self._database = Database(make_url(url), pool_size=2, synchronous="NORMAL")
        self._tables: list[Table] = []
        self._question = ""
        migrations.upgrade(self._database)

    def empty(self) -> None:
        """Delete all rows but what the migrations put there."""
        with self._database.writer.begin() as connection:
            if not self._tables:
                self._tables = _tables_of(connection)
                self._question = _which_are_filled(self._tables, connection)
            filled = {name for (name,) in connection.exec_driver_sql(self._question)}
            for table in self._tables:
                if table.name in filled:
                    connection.execute(delete(table).where(_of_tests(table)))

    def close(self) -> None:
        """Close the connections."""
        self._database.dispose()


def _tables_of(connection: Connection) -> list[Table]:
    """The tables that hold rows of tests, those first that nothing refers to."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in reversed(metadata.sorted_tables) if table.name != "alembic_version"]


def _of_tests(table: Table) -> ColumnElement[bool]:
    return table.c.is_builtin == 0 if table.name == "agent_templates" else true()


def _which_are_filled(tables: list[Table], connection: Connection) -> str:
    # One question for all: most tests leave rows in a few tables, many in none. As text, for
    # SQLAlchemy takes longer to look at it than the database to answer.
    question = union_all(*map(_name_if_filled, tables))
    return str(question.compile(connection, compile_kwargs={"literal_binds": True}))


def _name_if_filled(table: Table) -> Select[Any]:
    return select(literal(table.name, String)).where(select(table).where(_of_tests(table)).exists())
