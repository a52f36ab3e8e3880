"""Indexes that hold all by which long lists are searched and counted."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the new ones first: MySQL drops none that a foreign key depends on."""
    _index("agents", "tenant_id", "created_at", "id", "folded_name")
    _index("agents", "status")
    _index("api_keys", "status")
    _index("conversations", "status", "tenant_id", "current_agent_type", "assignee_id")
    _index("contacts", "tenant_id", "merged_into", "created_at", "id", "is_guest")
    _index("contacts", "merged_into", "created_at", "id", "tenant_id", "is_guest")
    _index("login_sessions", "user_id", "ended_at", "expires_at")
    _index("login_sessions", "expires_at", "ended_at")
    _index("users", "last_login_at")
    _drop("agents", "tenant_id", "created_at", "id")
    _drop("conversations", "status", "tenant_id")
    _drop("contacts", "tenant_id", "created_at", "id")
    _drop("contacts", "created_at", "id")
    _drop("contacts", "merged_into")
    _drop("login_sessions", "user_id", "created_at")
    _drop("login_sessions", "expires_at")


def _index(table: str, *columns: str) -> None:
    op.create_index(_name(table, columns), table, list(columns), if_not_exists=True)


def _drop(table: str, *columns: str) -> None:
    op.drop_index(_name(table, columns), table, if_exists=True)


def _name(table: str, columns: tuple[str, ...]) -> str:
    return f"ix_{table}_{'_'.join(columns)}"
