"""Databases that backups are made of and put into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, func, select

from maimconfig.agents.models import Agent
from maimconfig.api_keys.models import ApiKey
from maimconfig.db.all_models import metadata
from maimconfig.tenants.models import Tenant
from tests.servers.mariadb import fresh_database


@contextmanager
def empty_store(kind: str, folder: Path, mysql_server_url: str) -> Iterator[str]:
    """The URL of an empty database.

    Args:
        kind: sqlite or mysql.
    """
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'restored.db'}"
        return
    with fresh_database(mysql_server_url) as url:
        yield url


def is_consistent(database_url: str) -> None:
    """Every reference leads to a row, and every counter equals the rows that it counts."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert dangling(connection) == []
        for model, counter in ((Agent, Tenant.agent_count), (ApiKey, Tenant.api_key_count)):
            rows = select(func.count()).where(model.tenant_id == Tenant.id).scalar_subquery()
            assert connection.execute(select(Tenant.id).where(counter != rows)).all() == []
    engine.dispose()


def dangling(connection: Connection) -> list[str]:
    """The foreign keys by which some row refers to one that isn't there."""
    found = []
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            other = key.column.table.alias()
            there = select(1).where(other.c[key.column.name] == key.parent).exists()
            lost = select(func.count()).select_from(table).where(key.parent.is_not(None), ~there)
            if connection.scalar(lost):
                found.append(f"{table.name}.{key.parent.name}")
    return found
