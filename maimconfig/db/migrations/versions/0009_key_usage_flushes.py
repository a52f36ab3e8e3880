"""Which flushes of key usage are committed, so that none is written twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "key_usage_flushes",
        sa.Column("id", sa.String(length=50), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_key_usage_flushes"),
        **MYSQL_TABLE,
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
