"""The databases that tests get."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

LEFT = "INSERT INTO rate_windows (subject, started_at, used) VALUES ('left', '2026-01-01', 1)"


def test_a_fresh_database_has_no_tables(database_url: str) -> None:
    """What a test of the migrations needs: nothing at all."""
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == []


@pytest.mark.parametrize("turn", ["first", "second"])
def test_rows_do_not_outlive_their_test(migrated_database_url: str, turn: str) -> None:
    """Whichever test comes second finds nothing of the first."""
    with connected(migrated_database_url) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM rate_windows")) == 0
        connection.execute(text(LEFT))
        connection.commit()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_the_migrations_stored_stays(migrated_database_url: str, turn: str) -> None:
    """The built-in templates and the revision are there in every test."""
    with connected(migrated_database_url) as connection:
        builtin = text("SELECT COUNT(*) FROM agent_templates WHERE is_builtin = 1")
        assert connection.scalar(builtin) > 0
        assert connection.scalar(text("SELECT version_num FROM alembic_version"))


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection to the database, without the service's own settings."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
