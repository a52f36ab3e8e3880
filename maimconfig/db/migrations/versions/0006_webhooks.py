"""Webhooks and their deliveries; which agents' end of life, and which quota's, was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig import clock
from maimconfig.db.types import JsonText, LongText, UtcDateTime

revision = "0006"
down_revision = "0005"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables and columns."""
    _webhooks()
    _deliveries()
    _columns("agent_activity", sa.Column("watched_until", UtcDateTime(), nullable=True))
    _index("agent_activity", "watched_until")
    alive = sa.text(
        "UPDATE agent_activity SET watched_until = expires_at"
        " WHERE watched_until IS NULL AND expires_at > :now"
    )
    op.get_bind().execute(alive.bindparams(sa.bindparam("now", clock.now(), UtcDateTime)))
    # For the numbers of a day and a week, and for what waits now.
    _index("conversations", "status", "tenant_id")
    _index("conversations", "created_at")
    _index("conversations", "resolved_at")
    _columns(
        "chat_monthly_use",
        sa.Column("tokens_exceeded_at", UtcDateTime(), nullable=True),
        sa.Column("cost_exceeded_at", UtcDateTime(), nullable=True),
    )


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", JsonText(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _owned_by("webhooks", "tenant_id", "tenants.id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("webhooks", "tenant_id", "created_at", "id")


def _deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("webhook_id", sa.String(length=50), nullable=False),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("body", LongText, nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("claim", sa.String(length=50), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=20), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        _owned_by("webhook_deliveries", "tenant_id", "tenants.id"),
        _owned_by("webhook_deliveries", "webhook_id", "webhooks.id"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("webhook_deliveries", "due_at", "webhook_id")
    _index("webhook_deliveries", "webhook_id", "created_at", "id")
    _index("webhook_deliveries", "tenant_id")
    _index("webhook_deliveries", "settled_at")


def _columns(table: str, *columns: sa.Column[object]) -> None:
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in known:
            op.add_column(table, column)


def _owned_by(table: str, column: str, owner: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [owner], name=f"fk_{table}_{column}", ondelete="CASCADE"
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), if_not_exists=True)
