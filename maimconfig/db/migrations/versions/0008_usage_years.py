"""Sums of usage of a whole year for what there may be thousands of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NUMBERS = ("requests", "errors", "tokens_in_high", "tokens_in_low", "tokens_out_high",
           "tokens_out_low", "cost_high", "cost_low")  # fmt: skip


def upgrade() -> None:
    """Add the months of each year up."""
    sums = ", ".join(f"SUM({name})" for name in NUMBERS)
    for what in ("agent", "api_key", "user"):
        # Those of a run that stopped half-way.
        op.execute(sa.text(f"DELETE FROM usage_sums WHERE kind = '{what} year'"))
        op.execute(
            sa.text(
                f"INSERT INTO usage_sums SELECT scope, '{what} year', SUBSTR(period, 1, 4), part, "
                f"{sums} FROM usage_sums WHERE kind = '{what} month' GROUP BY 1, 2, 3, 4"
            )
        )
