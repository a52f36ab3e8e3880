"""Users and their login sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig.db.types import UtcDateTime

revision = "0002"
down_revision = "0001"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("folded_username", sa.String(length=300), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("folded_email", sa.String(length=300), nullable=True),
        sa.Column("full_name", sa.String(length=100), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("last_login_at", UtcDateTime(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("folded_email", name="uq_users_folded_email"),
        sa.UniqueConstraint("folded_username", name="uq_users_folded_username"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index("ix_users_created_at_id", "users", ["created_at", "id"], if_not_exists=True)
    op.create_index("ix_users_role_status", "users", ["role", "status"], if_not_exists=True)
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.Column("user_id", sa.String(length=50), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rotated_at", UtcDateTime(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_login_sessions_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_login_sessions"),
        **MYSQL_TABLE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_login_sessions_expires_at", "login_sessions", ["expires_at"], if_not_exists=True
    )
    op.create_index(
        "ix_login_sessions_user_id_created_at",
        "login_sessions",
        ["user_id", "created_at"],
        if_not_exists=True,
    )
