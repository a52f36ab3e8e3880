"""Every table is in a backup, whatever its columns."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Integer, String, Table, make_url, select

from maimconfig.backup import container, restoring, service
from maimconfig.db import lifecycle, migrations
from maimconfig.db.all_models import metadata
from maimconfig.db.lifecycle import StartError
from maimconfig.db.session import Database
from maimconfig.db.types import JsonText, Money, Price, UtcDateTime
from maimconfig.security.vault import Vault
from maimconfig.usage.models import UsageSum
from maimconfig.usage.sums import KINDS
from tests.backup.stores import empty_store

SECRET = "ChhqW6ZO3-one-secret-for-a-backup-8f2Yt"


@pytest.fixture
def filled(database_url: str, tmp_path: Path) -> Database:
    """A database with a row in every table."""
    database = Database(make_url(database_url), pool_size=2, synchronous="NORMAL")
    migrations.upgrade(database)
    rows: dict[str, dict[str, Any]] = {}
    with database.writer.begin() as connection:
        for table in metadata.sorted_tables:
            rows[table.name] = {column.name: value_of(column, rows) for column in table.columns}
            connection.execute(table.insert(), rows[table.name])
    return database


def test_every_table(filled: Database, tmp_path: Path, mysql_server_url: str) -> None:
    """A row of every table with every column filled comes back to the letter from the other kind
    of database, and what is restored was told as it went on."""
    told: list[tuple[int, int]] = []
    file = tmp_path / "backup.gz"
    header = service.create(filled, file, lambda *step: told.append(step))
    assert set(header.rows) == set(metadata.tables)
    assert told[-1] == (sum(header.rows.values()),) * 2
    kind = "mysql" if filled.is_sqlite else "sqlite"
    with empty_store(kind, tmp_path, mysql_server_url) as url:
        other = Database(make_url(url), pool_size=2, synchronous="NORMAL")
        ready = restoring.prepare(file, other, Vault([SECRET]), force=False)
        ready.run(lambda *_: None)
        for table in metadata.sorted_tables:
            assert rows_of(other, table) == rows_of(filled, table)
        other.dispose()
    filled.dispose()


def test_interrupted(filled: Database, tmp_path: Path, mysql_server_url: str) -> None:
    """A restore that was interrupted leaves a MySQL database that no service migrates or works
    on, a SQLite file as it was; with force it is done again."""
    file = tmp_path / "backup.gz"
    service.create(filled, file, lambda *_: None)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    force = restoring.prepare(file, filled, Vault([SECRET]), force=True)
    with pytest.raises(KeyboardInterrupt):
        force.run(stop)
    if filled.is_sqlite:
        assert migrations.matches(filled)
    else:
        with pytest.raises(StartError, match="restore"):
            lifecycle.prepare(filled, Vault([SECRET]), auto_migrate=True)
    force.run(lambda *_: None)
    assert migrations.matches(filled)
    assert len(rows_of(filled, metadata.tables["tenants"])) == 1
    filled.dispose()


def test_older_schema(database_url: str, tmp_path: Path) -> None:
    """A backup of an older schema is restored at that one, and upgraded: its usage is in sums."""
    file = tmp_path / "old.gz"
    header = container.Header(
        schema="0006", secret_id=None, rows={"tenants": 1, "usage_records": 1},
        made_at="2026-01-01T00:00:00Z", version="0.0.1", database="sqlite",
    )  # fmt: skip
    row = {
        "id": "tenant_old", "tenant_name": "old", "folded_name": "old", "tenant_type": "personal",
        "tenant_config": "{}", "permission_groups": "{}", "status": "active", "agent_count": 0,
        "api_key_count": 0, "revision": 1, "created_at": "2026-01-01T00:00:00.000001",
        "updated_at": "2026-01-01T00:00:00",
    }  # fmt: skip
    used = {
        "id": "usage_old", "tenant_id": "tenant_old", "action": "chat", "tokens_in": 7,
        "tokens_out": 5, "cost": 0, "is_error": 0, "estimated": 0, "details": "{}",
        "moment": "2025-12-31T23:59:59.999999", "day": "2025-12-31", "hour": "2025-12-31T23",
    }  # fmt: skip
    with container.written(file) as writer:
        writer.header(header)
        for table, values in (("tenants", row), ("usage_records", used)):
            writer.table(table, list(values))
            writer.row(list(values.values()))
    database = Database(make_url(database_url), pool_size=2, synchronous="NORMAL")
    restoring.prepare(file, database, Vault([SECRET]), force=False).run(lambda *_: None)
    assert migrations.differences(database) == []
    [tenant] = rows_of(database, metadata.tables["tenants"])
    assert (tenant.id, tenant.created_at.microsecond) == ("tenant_old", 1)
    sums = {(one.kind, one.period): one for one in rows_of(database, UsageSum.__table__)}
    assert {kind for kind, _ in sums} == set(KINDS)
    assert (
        sums["agent year", "2025"].tokens_in_low == sums["all hour", "2025-12-31T23"].requests * 7
    )
    database.dispose()


def rows_of(database: Database, table: Table) -> list[Any]:
    """All rows of a table."""
    with database.reader.connect() as connection:
        return connection.execute(select(table).order_by(*table.primary_key.columns)).all()


def value_of(column: Column[Any], rows: dict[str, dict[str, Any]]) -> Any:
    """A value that a careless copy would change."""
    for key in column.foreign_keys:
        return rows[key.column.table.name][key.column.name]
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return datetime(2026, 11, 26, 1, 2, 3, 456789, tzinfo=timezone.utc)
    if isinstance(kind, JsonText):
        return {"z": 1.0, "a": [True, None, "😀 é\n"]}
    if isinstance(kind, (Money, Price)):
        return Decimal("1.000000001")
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return 7
    assert isinstance(kind, String), column
    return f"{column.name} 😀"[-(kind.length or 50) :]
