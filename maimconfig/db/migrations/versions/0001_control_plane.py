"""The control plane: tenants, agents, templates, keys, heart-beats, plugins, usage, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig import clock
from maimconfig.db.types import JsonText, LongText, Money, UtcDateTime
from maimconfig.templates.builtin import BUILTIN_TEMPLATES

revision = "0001"
down_revision = None

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables, and store the built-in templates."""
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=True),
        sa.Column("actor", sa.String(length=50), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("resource_type", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=160), nullable=False),
        sa.Column("before", JsonText(), nullable=True),
        sa.Column("after", JsonText(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_logs"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_audit_logs_actor_created_at_id",
        "audit_logs",
        ["actor", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_index(
        "ix_audit_logs_created_at_id", "audit_logs", ["created_at", "id"], if_not_exists=True
    )
    op.create_index(
        "ix_audit_logs_resource_id_created_at_id",
        "audit_logs",
        ["resource_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_index(
        "ix_audit_logs_tenant_id_created_at_id",
        "audit_logs",
        ["tenant_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("body", LongText, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_idempotent_answers"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_idempotent_answers_created_at", "idempotent_answers", ["created_at"], if_not_exists=True
    )
    op.create_table(
        "rate_windows",
        sa.Column("subject", sa.String(length=190), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_rate_windows"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_rate_windows_started_at", "rate_windows", ["started_at"], if_not_exists=True
    )
    op.create_table(
        "system_state",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_system_state"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_name", sa.String(length=100), nullable=False),
        sa.Column("folded_name", sa.String(length=300), nullable=False),
        sa.Column("tenant_type", sa.String(length=20), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("contact_email", sa.String(length=254), nullable=True),
        sa.Column("tenant_config", JsonText(), nullable=False),
        sa.Column("permission_groups", JsonText(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("owner_id", sa.String(length=50), nullable=True),
        sa.Column("agent_count", sa.Integer(), nullable=False),
        sa.Column("api_key_count", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("tenant_name", name="uq_tenants_tenant_name"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index("ix_tenants_created_at_id", "tenants", ["created_at", "id"], if_not_exists=True)
    op.create_index(
        "ix_tenants_owner_id_created_at_id",
        "tenants",
        ["owner_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_table(
        "agent_templates",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=True),
        sa.Column("scope", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("category", sa.String(length=50), nullable=True),
        sa.Column("tags", JsonText(), nullable=False),
        sa.Column("config", JsonText(), nullable=False),
        sa.Column("is_builtin", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_agent_templates_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_templates"),
        sa.UniqueConstraint("scope", "name", name="uq_agent_templates_scope_name"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_templates_scope_created_at_id",
        "agent_templates",
        ["scope", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_templates_tenant_id", "agent_templates", ["tenant_id"], if_not_exists=True
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=True),
        sa.Column("agent_id", sa.String(length=50), nullable=True),
        sa.Column("api_key_id", sa.String(length=50), nullable=True),
        sa.Column("user_id", sa.String(length=100), nullable=True),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("cost", Money(), nullable=False),
        sa.Column("is_error", sa.Boolean(), nullable=False),
        sa.Column("details", JsonText(), nullable=False),
        sa.Column("moment", UtcDateTime(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("hour", sa.String(length=13), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_usage_records_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_usage_records"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index("ix_usage_records_moment", "usage_records", ["moment"], if_not_exists=True)
    op.create_index(
        "ix_usage_records_tenant_id_moment",
        "usage_records",
        ["tenant_id", "moment"],
        if_not_exists=True,
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("folded_name", sa.String(length=300), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("template_id", sa.String(length=50), nullable=True),
        sa.Column("config", JsonText(), nullable=False),
        sa.Column("tags", JsonText(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["agent_templates.id"],
            name="fk_agents_template_id",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_agents_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_agents_tenant_id_name"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index("ix_agents_template_id", "agents", ["template_id"], if_not_exists=True)
    op.create_index(
        "ix_agents_tenant_id_created_at_id",
        "agents",
        ["tenant_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_table(
        "agent_activity",
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ttl_seconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_agent_activity_agent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_agent_activity_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", name="pk_agent_activity"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_activity_tenant_id_expires_at",
        "agent_activity",
        ["tenant_id", "expires_at"],
        if_not_exists=True,
    )
    op.create_table(
        "agent_config_versions",
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=50), nullable=False),
        sa.Column("changes", JsonText(), nullable=False),
        sa.Column("config", JsonText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"],
            ["agents.id"],
            name="fk_agent_config_versions_agent_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_agent_config_versions_tenant_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("agent_id", "version", name="pk_agent_config_versions"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_config_versions_tenant_id",
        "agent_config_versions",
        ["tenant_id"],
        if_not_exists=True,
    )
    op.create_table(
        "agent_tags",
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("tag", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_agent_tags_agent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_agent_tags_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "tag", name="pk_agent_tags"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_agent_tags_tenant_id_tag_agent_id",
        "agent_tags",
        ["tenant_id", "tag", "agent_id"],
        if_not_exists=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("permissions", JsonText(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("rate_limit", JsonText(), nullable=True),
        sa.Column("allowed_ips", JsonText(), nullable=False),
        sa.Column("usage_count", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_api_keys_agent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_api_keys_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_api_keys_tenant_id_name"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index("ix_api_keys_agent_id", "api_keys", ["agent_id"], if_not_exists=True)
    op.create_index(
        "ix_api_keys_tenant_id_agent_id_created_at_id",
        "api_keys",
        ["tenant_id", "agent_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_index(
        "ix_api_keys_tenant_id_created_at_id",
        "api_keys",
        ["tenant_id", "created_at", "id"],
        if_not_exists=True,
    )
    op.create_table(
        "plugin_settings",
        sa.Column("scope_id", sa.String(length=50), nullable=False),
        sa.Column("plugin_name", sa.String(length=100), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("config", JsonText(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name="fk_plugin_settings_agent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_plugin_settings_tenant_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("scope_id", "plugin_name", name="pk_plugin_settings"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_plugin_settings_agent_id", "plugin_settings", ["agent_id"], if_not_exists=True
    )
    op.create_index(
        "ix_plugin_settings_tenant_id", "plugin_settings", ["tenant_id"], if_not_exists=True
    )
    op.create_table(
        "api_key_secrets",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("api_key_id", sa.String(length=50), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("retires_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["api_key_id"],
            ["api_keys.id"],
            name="fk_api_key_secrets_api_key_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_api_key_secrets"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_api_key_secrets_api_key_id", "api_key_secrets", ["api_key_id"], if_not_exists=True
    )
    op.create_index(
        "ix_api_key_secrets_retires_at", "api_key_secrets", ["retires_at"], if_not_exists=True
    )
    _store_builtin_templates()


def _store_builtin_templates() -> None:
    table = sa.table(
        "agent_templates",
        sa.column("id", sa.String),
        sa.column("scope", sa.String),
        sa.column("name", sa.String),
        sa.column("description", sa.Text),
        sa.column("category", sa.String),
        sa.column("tags", JsonText),
        sa.column("config", JsonText),
        sa.column("is_builtin", sa.Boolean),
        sa.column("revision", sa.Integer),
        sa.column("created_at", UtcDateTime),
        sa.column("updated_at", UtcDateTime),
    )
    connection = op.get_bind()
    stored = set(connection.scalars(sa.select(table.c.id)))
    for template in BUILTIN_TEMPLATES:
        if template.id in stored:
            continue
        row = {
            "id": template.id,
            "scope": "",
            "name": template.name,
            "description": template.description,
            "category": template.category,
            "tags": list(template.tags),
            "config": dict(template.config),
            "is_builtin": True,
            "revision": 1,
            "created_at": clock.now(),
            "updated_at": clock.now(),
        }
        connection.execute(table.insert().values(row))
