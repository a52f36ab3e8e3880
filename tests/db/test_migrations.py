"""Migrations: from empty, again, by several at once, and after a stop half-way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text

from maimconfig.db import migrations
from maimconfig.db.all_models import metadata
from maimconfig.db.session import Database
from maimconfig.templates.builtin import BUILTIN_TEMPLATES
from maimconfig.templates.models import AgentTemplate

_UPGRADE = """
import sys
from maimconfig.db import migrations
from maimconfig.db.session import Database
from maimconfig.setting_types import database_url
migrations.upgrade(Database(database_url(sys.argv[1]), pool_size=2, synchronous="NORMAL"))
"""


def test_from_empty(database: Database) -> None:
    """An empty database has no revision, and the newest one after the upgrade."""
    assert migrations.current(database) is None
    assert not migrations.matches(database)
    migrations.upgrade(database)
    assert migrations.current(database) == migrations.head()
    assert migrations.matches(database)


def test_models_agree(database: Database) -> None:
    """The migrated schema is the one of the models."""
    migrations.upgrade(database)
    assert migrations.differences(database) == []
    assert {*metadata.tables} < set(inspect(database.reader).get_table_names())


def test_differences_are_found(database: Database) -> None:
    """A schema that somebody changed by hand is told from the models."""
    migrations.upgrade(database)
    with database.writer.begin() as connection:
        connection.execute(text("ALTER TABLE tenants ADD COLUMN extra INTEGER"))
    assert "extra" in str(migrations.differences(database))


def test_builtin_templates(database: Database) -> None:
    """The five built-in templates are there after the upgrade, and once."""
    migrations.upgrade(database)
    with database.reader.connect() as connection:
        found = connection.scalars(select(AgentTemplate.id)).all()
    assert sorted(found) == sorted(template.id for template in BUILTIN_TEMPLATES)


def test_again(database: Database) -> None:
    """A second upgrade changes nothing."""
    migrations.upgrade(database)
    migrations.upgrade(database)
    assert migrations.matches(database)


def test_several_at_once(database: Database, database_url: str) -> None:
    """Of four processes that upgrade at once one does it, and all end well."""
    command = [sys.executable, "-c", _UPGRADE, database_url]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    assert migrations.differences(database) == []


@pytest.mark.parametrize("lost", [(), ("api_key_secrets",), ("audit_logs", "usage_records")])
def test_half_way(database: Database, lost: tuple[str, ...]) -> None:
    """A migration that stopped half-way is finished by the next run."""
    migrations.upgrade(database)
    with database.writer.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        for table in lost:
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DELETE FROM agent_templates WHERE id = 'tmpl_builtincaring'"))
    migrations.upgrade(database)
    assert migrations.matches(database)
    assert migrations.differences(database) == []
    with database.reader.connect() as connection:
        assert len(connection.scalars(select(AgentTemplate.id)).all()) == len(BUILTIN_TEMPLATES)


def test_foreign_keys_hold(database: Database) -> None:
    """A row of a tenant that isn't there is refused."""
    migrations.upgrade(database)
    insert = text(
        "INSERT INTO agent_tags (agent_id, tag, tenant_id) VALUES ('agent_x', 't', 'tenant_x')"
    )
    with pytest.raises(Exception, match=r"(?i)foreign key"), database.writer.begin() as connection:
        connection.execute(insert)


def test_head_is_a_file() -> None:
    """The newest revision has a file that says so."""
    (file,) = (Path(migrations.__file__).parent / "versions").glob(f"{migrations.head()}_*.py")
    assert f'revision = "{migrations.head()}"' in file.read_text()
