"""Sums of usage, so that no report reads a million records; indexes for long lists."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

MYSQL_TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
LENGTHS = {"hour": 13, "day": 10, "month": 7}
PARTS = {"agent": "agent_id", "api_key": "api_key_id", "user": "user_id", "model": "model",
         "action": "action"}  # fmt: skip
NUMBERS = ("tokens_in", "tokens_out", "cost")


def upgrade() -> None:
    """Make the table and indexes, and add up what there is."""
    numbers = ("requests", "errors", *(f"{name}_{half}" for name in NUMBERS
                                       for half in ("high", "low")))  # fmt: skip
    op.create_table(
        "usage_sums",
        sa.Column("scope", sa.String(length=50), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("period", sa.String(length=13), nullable=False),
        sa.Column("part", sa.String(length=200), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in numbers),
        sa.PrimaryKeyConstraint("scope", "kind", "period", "part", name="pk_usage_sums"),
        **MYSQL_TABLE,
        sqlite_with_rowid=False,
        if_not_exists=True,
    )
    # Those of a run that stopped half-way.
    op.execute(sa.text("DELETE FROM usage_sums"))
    for statement in _additions():
        op.execute(sa.text(statement))
    _index("agents", "tenant_id", "status", "created_at", "id")
    _index("api_keys", "tenant_id", "status", "expires_at")
    _index("audit_logs", "resource_type", "created_at", "id")
    _index("audit_logs", "tenant_id", "resource_type", "created_at", "id")
    _index("audit_logs", "tenant_id", "actor", "created_at", "id")
    _index("webhook_deliveries", "webhook_id", "status", "created_at", "id")
    _index("webhook_deliveries", "webhook_id", "event", "created_at", "id")


def _additions() -> Iterator[str]:
    for length in LENGTHS:
        yield _addition("all", length, "''")
    for what, column in PARTS.items():
        for length in ("day", "month"):
            yield _addition(what, length, _part(column))
    prices = ("COALESCE(price_in, '')", "' '", "COALESCE(price_out, '')", "' '", _part("model"))
    yield _addition("price", "month", _joined(*prices))


def _addition(what: str, length: str, part: str) -> str:
    halves = ", ".join(f"SUM({name} >> 32), SUM({name} & 4294967295)" for name in NUMBERS)
    period = f"SUBSTR(hour, 1, {LENGTHS[length]})"
    return (
        f"INSERT INTO usage_sums SELECT COALESCE(tenant_id, ''), '{what} {length}', {period}, "
        f"{part}, COUNT(*), SUM(CASE WHEN is_error THEN 1 ELSE 0 END), {halves} "
        f"FROM usage_records GROUP BY 1, 2, 3, 4"
    )


def _part(column: str) -> str:
    joined = _joined("'='", column)
    return f"CASE WHEN {column} IS NULL THEN '' ELSE {joined} END"


def _joined(*texts: str) -> str:
    if op.get_bind().dialect.name == "sqlite":
        return f"({' || '.join(texts)})"
    return f"CONCAT({', '.join(texts)})"


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), if_not_exists=True)
