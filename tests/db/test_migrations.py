"""Migrations: from empty, again, by several at once, and after a stop half-way."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, event, inspect, make_url, select, text
from sqlalchemy.exc import OperationalError

from maimconfig.db import engine, migrations
from maimconfig.db.all_models import metadata
from maimconfig.db.session import Database
from maimconfig.templates.builtin import BUILTIN_TEMPLATES
from maimconfig.templates.models import AgentTemplate
from tests.servers.mariadb import connect, fresh_database

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


def test_mysqls_own_sql(database: Database) -> None:
    """An upgrade says nothing that MariaDB understands and MySQL doesn't: whether there is an
    index already."""
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        migrations.upgrade(database)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    of_indexes = [statement for statement in said if " INDEX " in statement.split("(")[0]]
    assert len(of_indexes) > 50
    if not database.is_sqlite:
        assert [statement for statement in of_indexes if "EXISTS" in statement] == []


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


# Whatever belongs to a tenant or an agent, and what it takes to make a row of it.
_OWNED = {
    "agent_activity": "(agent_id, tenant_id, last_seen_at, expires_at, ttl_seconds) "
    "VALUES ('agent_1', 'tenant_1', '2026-01-01', '2026-01-01', 1)",
    "agent_config_versions": "(agent_id, version, tenant_id, action, actor, changes, config, "
    "created_at) VALUES ('agent_1', 1, 'tenant_1', 'create', 'x', '[]', '{}', '2026-01-01')",
    "agent_tags": "(agent_id, tag, tenant_id) VALUES ('agent_1', 'x', 'tenant_1')",
    "api_keys": "(id, tenant_id, agent_id, name, sealed_secret, permissions, status, allowed_ips, "
    "usage_count, revision, created_at, updated_at) VALUES ('key_1', 'tenant_1', 'agent_1', 'x', "
    "'x', '[]', 'active', '[]', 0, 1, '2026-01-01', '2026-01-01')",
    "api_key_secrets": "(secret_hash, api_key_id, sealed_secret) VALUES ('x', 'key_1', 'x')",
    "chat_streams": "(id, tenant_id, agent_id, platform, chat_identifier, next_seq, created_at) "
    "VALUES ('stream_1', 'tenant_1', 'agent_1', 'x', 'x', 2, '2026-01-01')",
    "chat_messages": "(id, tenant_id, stream_id, seq, role, content, state, tokens_in, tokens_out, "
    "cost, estimated, created_at) VALUES ('msg_1', 'tenant_1', 'stream_1', 1, 'user', 'x', "
    "'complete', 0, 0, 0, 0, '2026-01-01')",
    "conversations": "(id, tenant_id, agent_id, contact_id, channel_type, status, priority, "
    "current_agent_type, next_seq, next_position, last_activity_at, unread_staff, unread_contact, "
    "contact_read_seq, staff_read_seq, tags, handled_by_ai, handled_by_human, revision, "
    "created_at, updated_at) VALUES ('conv_1', 'tenant_1', 'agent_1', 'contact_1', 'api', 'open', "
    "'low', 'ai', 2, 2, '2026-01-01', 1, 0, 1, 0, '[]', 0, 0, 1, '2026-01-01', '2026-01-01')",
    "conversation_messages": "(id, tenant_id, conversation_id, position, seq, sender_type, "
    "content, message_type, metadata, is_private, state, created_at) VALUES ('msg_1', 'tenant_1', "
    "'conv_1', 1, 1, 'contact', 'x', 'text', '{}', 0, 'complete', '2026-01-01')",
    "owed_replies": "(id, tenant_id, conversation_id, message_id, position, leased_until, "
    "attempts, created_at) VALUES ('owed_1', 'tenant_1', 'conv_1', 'msg_1', 1, '2026-01-01', 0, "
    "'2026-01-01')",
    "chat_sessions": "(id, tenant_id, agent_id, contact_id, conversation_id, user_id, is_guest, "
    "nonce, status, metadata, context, last_activity_at, revision, created_at, updated_at) VALUES "
    "('sess_1', 'tenant_1', 'agent_1', 'contact_1', 'conv_1', 'x', 0, 'x', 'active', '{}', '{}', "
    "'2026-01-01', 1, '2026-01-01', '2026-01-01')",
    "plugin_settings": "(scope_id, plugin_name, tenant_id, agent_id, enabled, config, created_at, "
    "updated_at) VALUES ('agent_1', 'x', 'tenant_1', 'agent_1', 1, '{}', '2026-01-01', "
    "'2026-01-01')",
}
_OF_THE_TENANT = {
    "agent_templates": "(id, tenant_id, scope, name, tags, config, is_builtin, revision, "
    "created_at, updated_at) VALUES ('tmpl_1', 'tenant_1', 'tenant_1', 'x', '[]', '{}', 0, 1, "
    "'2026-01-01', '2026-01-01')",
    "agents": "(id, tenant_id, name, folded_name, template_id, config, tags, status, "
    "config_version, revision, created_at, updated_at) VALUES ('agent_1', 'tenant_1', 'x', 'x', "
    "'tmpl_1', '{}', '[]', 'active', 1, 1, '2026-01-01', '2026-01-01')",
    "chat_monthly_use": "(tenant_id, month, tokens, cost) VALUES ('tenant_1', '2026-01', 0, 0)",
    "chat_pending_replies": "(id, tenant_id, agent_id, reply_id, month, tokens, cost, started_at, "
    "expires_at) VALUES ('usage_2', 'tenant_1', 'agent_1', 'msg_2', '2026-01', 0, 0, "
    "'2026-01-01', '2026-01-01')",
    "contacts": "(id, tenant_id, external_id, is_guest, folded, custom_attributes, revision, "
    "created_at, updated_at) VALUES ('contact_1', 'tenant_1', 'x', 0, 'x', '{}', 1, '2026-01-01', "
    "'2026-01-01')",
    "staff_tenants": "(user_id, tenant_id) VALUES ('user_1', 'tenant_1')",
    "webhooks": "(id, tenant_id, url, events, sealed_secret, is_active, revision, created_at, "
    "updated_at) VALUES ('webhook_1', 'tenant_1', 'x', '[]', 'x', 1, 1, '2026-01-01', "
    "'2026-01-01')",
    "webhook_deliveries": "(id, tenant_id, webhook_id, event, body, status, attempts, created_at) "
    "VALUES ('delivery_1', 'tenant_1', 'webhook_1', 'x', '{}', 'pending', 0, '2026-01-01')",
    "usage_records": "(id, tenant_id, action, tokens_in, tokens_out, cost, is_error, details, "
    "moment, day, hour) VALUES ('usage_1', 'tenant_1', 'x', 0, 0, 0, 0, '{}', '2026-01-01', "
    "'2026-01-01', '2026-01-01T00')",
}
_USER = (
    "INSERT INTO users (id, username, folded_username, password_hash, role, status, "
    "serves_all_tenants, revision, created_at, updated_at) VALUES ('user_1', 'x', 'x', 'x', "
    "'agent', 'active', 0, 1, '2026-01-01', '2026-01-01')"
)
_TENANT = (
    "INSERT INTO tenants (id, tenant_name, folded_name, tenant_type, tenant_config, "
    "permission_groups, status, agent_count, api_key_count, revision, created_at, updated_at) "
    "VALUES ('tenant_1', 'x', 'x', 'personal', '{}', '{}', 'active', 0, 0, 1, '2026-01-01', "
    "'2026-01-01')"
)


@pytest.mark.parametrize(
    ("owner", "gone"),
    [("agents", {*_OWNED, "agents"}), ("tenants", {*_OWNED, *_OF_THE_TENANT})],
)
def test_cascades(database: Database, owner: str, gone: set[str]) -> None:
    """What belongs to a tenant or an agent goes with it, by the database's own doing."""
    migrations.upgrade(database)
    rows = {**_OF_THE_TENANT, **_OWNED}
    with database.writer.begin() as connection:
        for statement in (
            _USER,
            _TENANT,
            *(f"INSERT INTO {name} {row}" for name, row in rows.items()),
        ):
            connection.execute(text(statement))
        connection.execute(text(f"DELETE FROM {owner} WHERE id IN ('tenant_1', 'agent_1')"))
        left = {
            name
            for name in rows
            if connection.scalar(text(f"SELECT COUNT(*) FROM {name} WHERE {_mine(name)}"))
        }
    assert left == set(rows) - gone


def test_everything_owned_cascades() -> None:
    """No table that belongs to a tenant or an agent is missing above."""
    owned = {
        table.name
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in ("tenants", "agents", "api_keys")
    }
    assert owned == {*_OWNED, *_OF_THE_TENANT}


def _mine(table: str) -> str:
    return {"api_key_secrets": "api_key_id = 'key_1'"}.get(table, "tenant_id = 'tenant_1'")


def test_waits_its_turn(
    mysql_server_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner waits for the one before it longer than the network's time-out."""
    monkeypatch.setattr(engine, "NETWORK_TIMEOUT_SECONDS", 2)
    impatient = Database(database.url, pool_size=2, synchronous="NORMAL")
    failures: list[BaseException] = []

    def upgrade() -> None:
        try:
            migrations.upgrade(impatient)
        except BaseException as error:
            failures.append(error)

    waiting = threading.Thread(target=upgrade)
    with _held_by_another(database, mysql_server_url):
        waiting.start()
        waiting.join(3.5)
        assert waiting.is_alive(), failures
        assert migrations.current(database) is None
    waiting.join(60)
    assert failures == []
    assert migrations.matches(database)
    impatient.dispose()


def test_takes_its_time(mysql_server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a table may take longer than the network's time-out of the service, whose own
    statements are ended by it."""
    monkeypatch.setattr(engine, "NETWORK_TIMEOUT_SECONDS", 1)
    slowly = text("SELECT SLEEP(3)")
    with fresh_database(mysql_server_url) as url:
        database = Database(make_url(url), pool_size=2, synchronous="NORMAL")
        with pytest.raises(OperationalError), database.reader.connect() as connection:
            connection.execute(slowly)
        upgrade = command.upgrade

        def upgrade_slowly(config: Config, revision: str) -> None:
            config.attributes["connection"].execute(slowly)
            upgrade(config, revision)

        monkeypatch.setattr(command, "upgrade", upgrade_slowly)
        migrations.upgrade(database)
        assert migrations.matches(database)
        database.dispose()


def test_waits_no_longer_than_it_says(
    mysql_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that never gets its turn says so, and doesn't begin all the same."""
    monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 1)
    with fresh_database(mysql_server_url) as url:
        database = Database(make_url(url), pool_size=2, synchronous="NORMAL")
        with _held_by_another(database, mysql_server_url):
            with pytest.raises(TimeoutError, match="another process"):
                migrations.upgrade(database)
            assert migrations.current(database) is None
        database.dispose()


@contextlib.contextmanager
def _held_by_another(database: Database, mysql_server_url: str) -> Iterator[None]:
    """The lock of the runners, held by somebody else."""
    if database.is_sqlite:
        with Path(f"{database.url.database}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    else:
        with contextlib.closing(connect(mysql_server_url)) as holder:
            holder.cursor().execute("SELECT GET_LOCK(%s, 300)", (migrations.LOCK_NAME,))
            yield
