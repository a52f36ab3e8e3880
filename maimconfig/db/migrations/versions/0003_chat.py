"""Chat: streams, messages, replies that are owed, monthly use; usage rows say more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig.db.types import LongText, Money, UtcDateTime

revision = "0003"
down_revision = "0002"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables and columns."""
    _streams()
    _messages()
    _pending_replies()
    _monthly_use()
    _usage_columns()


def _streams() -> None:
    op.create_table(
        "chat_streams",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("platform", sa.String(length=50), nullable=False),
        sa.Column("chat_identifier", sa.String(length=200), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _owned_by("chat_streams", "tenant_id", "tenants.id"),
        _owned_by("chat_streams", "agent_id", "agents.id"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_streams"),
        sa.UniqueConstraint(
            "tenant_id",
            "agent_id",
            "platform",
            "chat_identifier",
            name="uq_chat_streams_tenant_id_agent_id_platform_chat_identifier",
        ),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("chat_streams", "agent_id")


def _messages() -> None:
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("stream_id", sa.String(length=50), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("content", LongText, nullable=False),
        sa.Column("user_id", sa.String(length=100), nullable=True),
        sa.Column("message_id", sa.String(length=200), nullable=True),
        sa.Column("reply_to", sa.String(length=50), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("cost", Money(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _owned_by("chat_messages", "tenant_id", "tenants.id"),
        _owned_by("chat_messages", "stream_id", "chat_streams.id"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_messages"),
        sa.UniqueConstraint(
            "tenant_id", "stream_id", "seq", name="uq_chat_messages_tenant_id_stream_id_seq"
        ),
        sa.UniqueConstraint(
            "tenant_id",
            "stream_id",
            "message_id",
            name="uq_chat_messages_tenant_id_stream_id_message_id",
        ),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("chat_messages", "tenant_id", "created_at")
    _index("chat_messages", "stream_id")
    _index("chat_messages", "reply_to")


def _pending_replies() -> None:
    op.create_table(
        "chat_pending_replies",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("api_key_id", sa.String(length=50), nullable=True),
        sa.Column("user_id", sa.String(length=100), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("reply_id", sa.String(length=50), nullable=False),
        sa.Column("stream_id", sa.String(length=50), nullable=True),
        sa.Column("message_id", sa.String(length=50), nullable=True),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", Money(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        _owned_by("chat_pending_replies", "tenant_id", "tenants.id"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_pending_replies"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("chat_pending_replies", "tenant_id")
    _index("chat_pending_replies", "expires_at")


def _monthly_use() -> None:
    op.create_table(
        "chat_monthly_use",
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", Money(), nullable=False),
        _owned_by("chat_monthly_use", "tenant_id", "tenants.id"),
        sa.PrimaryKeyConstraint("tenant_id", "month", name="pk_chat_monthly_use"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )


def _usage_columns() -> None:
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("usage_records")}
    for column in (
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("provider", sa.String(length=100), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("latency_ms", sa.BigInteger(), nullable=True),
    ):
        if column.name not in known:
            op.add_column("usage_records", column)
    _index("usage_records", "tenant_id", "request_id")


def _owned_by(table: str, column: str, owner: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [owner], name=f"fk_{table}_{column}", ondelete="CASCADE"
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), if_not_exists=True)
