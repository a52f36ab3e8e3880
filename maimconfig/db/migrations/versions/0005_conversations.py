"""Contacts, conversations, sessions, owed replies, leases, and what staff serve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig.db.types import JsonText, LongText, UtcDateTime

revision = "0005"
down_revision = "0004"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables and the column."""
    _contacts()
    _conversations()
    _conversation_messages()
    _owed_replies()
    _chat_sessions()
    _leases()
    _staff_tenants()
    _staff_presence()
    _users_column()


def _contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=False),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=True),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=50), nullable=True),
        sa.Column("avatar_url", sa.String(length=1000), nullable=True),
        sa.Column("folded", sa.String(length=2000), nullable=False),
        sa.Column("custom_attributes", JsonText(), nullable=False),
        sa.Column("merged_into", sa.String(length=50), nullable=True),
        sa.Column("last_seen_at", UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _belongs("contacts", "tenant_id", "tenants.id"),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        _unique("contacts", "tenant_id", "is_guest", "external_id"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("contacts", "created_at", "id")
    _index("contacts", "merged_into")
    _index("contacts", "tenant_id", "created_at", "id")


def _conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("contact_id", sa.String(length=50), nullable=False),
        sa.Column("channel_type", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("priority", sa.String(length=20), nullable=False),
        sa.Column("current_agent_type", sa.String(length=10), nullable=False),
        sa.Column("assignee_id", sa.String(length=50), nullable=True),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("next_position", sa.BigInteger(), nullable=False),
        sa.Column("first_reply_at", UtcDateTime(), nullable=True),
        sa.Column("last_activity_at", UtcDateTime(), nullable=False),
        sa.Column("handed_off_at", UtcDateTime(), nullable=True),
        sa.Column("handoff_reason", sa.String(length=200), nullable=True),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("unread_staff", sa.BigInteger(), nullable=False),
        sa.Column("unread_contact", sa.BigInteger(), nullable=False),
        sa.Column("contact_read_seq", sa.BigInteger(), nullable=False),
        sa.Column("staff_read_seq", sa.BigInteger(), nullable=False),
        sa.Column("tags", JsonText(), nullable=False),
        sa.Column("satisfaction", sa.Integer(), nullable=True),
        sa.Column("satisfaction_comment", sa.String(length=2000), nullable=True),
        sa.Column("handled_by_ai", sa.Boolean(), nullable=False),
        sa.Column("handled_by_human", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _belongs("conversations", "tenant_id", "tenants.id"),
        _belongs("conversations", "agent_id", "agents.id"),
        _belongs("conversations", "contact_id", "contacts.id"),
        _belongs("conversations", "assignee_id", "users.id", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("conversations", "agent_id")
    _index("conversations", "assignee_id", "status")
    _index("conversations", "contact_id")
    _index("conversations", "last_activity_at", "id")
    _index("conversations", "tenant_id", "created_at")
    _index("conversations", "tenant_id", "last_activity_at", "id")


def _conversation_messages() -> None:
    op.create_table(
        "conversation_messages",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("conversation_id", sa.String(length=50), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("session_id", sa.String(length=50), nullable=True),
        sa.Column("sender_type", sa.String(length=10), nullable=False),
        sa.Column("sender_id", sa.String(length=50), nullable=True),
        sa.Column("content", LongText, nullable=False),
        sa.Column("message_type", sa.String(length=10), nullable=False),
        sa.Column("metadata", JsonText(), nullable=False),
        sa.Column("is_private", sa.Boolean(), nullable=False),
        sa.Column("client_id", sa.String(length=100), nullable=True),
        sa.Column("reply_to", sa.String(length=50), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("rating_comment", sa.String(length=2000), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _belongs("conversation_messages", "tenant_id", "tenants.id"),
        _belongs("conversation_messages", "conversation_id", "conversations.id"),
        sa.PrimaryKeyConstraint("id", name="pk_conversation_messages"),
        _unique("conversation_messages", "conversation_id", "position"),
        _unique("conversation_messages", "conversation_id", "sender_id", "client_id"),
        _unique("conversation_messages", "conversation_id", "seq"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("conversation_messages", "tenant_id", "created_at")


def _owed_replies() -> None:
    op.create_table(
        "owed_replies",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("conversation_id", sa.String(length=50), nullable=False),
        sa.Column("message_id", sa.String(length=50), nullable=False),
        sa.Column("session_id", sa.String(length=50), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        _belongs("owed_replies", "tenant_id", "tenants.id"),
        _belongs("owed_replies", "conversation_id", "conversations.id"),
        sa.PrimaryKeyConstraint("id", name="pk_owed_replies"),
        _unique("owed_replies", "conversation_id", "position"),
        _unique("owed_replies", "message_id"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("owed_replies", "leased_until")
    _index("owed_replies", "tenant_id")


def _chat_sessions() -> None:
    op.create_table(
        "chat_sessions",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        sa.Column("agent_id", sa.String(length=50), nullable=False),
        sa.Column("contact_id", sa.String(length=50), nullable=False),
        sa.Column("conversation_id", sa.String(length=50), nullable=False),
        sa.Column("user_id", sa.String(length=100), nullable=False),
        sa.Column("created_by", sa.String(length=50), nullable=True),
        sa.Column("is_guest", sa.Boolean(), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("metadata", JsonText(), nullable=False),
        sa.Column("context", JsonText(), nullable=False),
        sa.Column("last_activity_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        _belongs("chat_sessions", "tenant_id", "tenants.id"),
        _belongs("chat_sessions", "agent_id", "agents.id"),
        _belongs("chat_sessions", "contact_id", "contacts.id"),
        _belongs("chat_sessions", "conversation_id", "conversations.id"),
        _belongs("chat_sessions", "created_by", "users.id", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_sessions"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("chat_sessions", "agent_id")
    _index("chat_sessions", "contact_id", "status")
    _index("chat_sessions", "conversation_id")
    _index("chat_sessions", "created_by")
    _index("chat_sessions", "due_at")
    _index("chat_sessions", "tenant_id", "created_at")


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )


def _staff_tenants() -> None:
    op.create_table(
        "staff_tenants",
        sa.Column("user_id", sa.String(length=50), nullable=False),
        sa.Column("tenant_id", sa.String(length=50), nullable=False),
        _belongs("staff_tenants", "user_id", "users.id"),
        _belongs("staff_tenants", "tenant_id", "tenants.id"),
        sa.PrimaryKeyConstraint("user_id", "tenant_id", name="pk_staff_tenants"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    _index("staff_tenants", "tenant_id")


def _staff_presence() -> None:
    op.create_table(
        "staff_presence",
        sa.Column("user_id", sa.String(length=50), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        _belongs("staff_presence", "user_id", "users.id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_staff_presence"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )


def _users_column() -> None:
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("users")}
    if "serves_all_tenants" not in known:
        serves: sa.Column[bool] = sa.Column(
            "serves_all_tenants", sa.Boolean(), nullable=False, server_default=sa.true()
        )
        op.add_column("users", serves)


def _belongs(table: str, column: str, owner: str, then: str = "CASCADE") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [owner], name=f"fk_{table}_{column}", ondelete=then)


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), if_not_exists=True)
