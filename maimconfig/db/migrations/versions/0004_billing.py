"""Billing: usage rows tell the prices that they were counted with; old messages are found fast."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from maimconfig.db.types import Price

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns of prices, and the index by which messages are pruned."""
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("usage_records")}
    for name in ("price_in", "price_out"):
        if name not in known:
            op.add_column("usage_records", sa.Column(name, Price(), nullable=True))
    op.create_index(
        "ix_chat_messages_created_at", "chat_messages", ["created_at"], if_not_exists=True
    )
