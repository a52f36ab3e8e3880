"""Usage: one row for each thing done, with what it cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig.db.base import MYSQL_TABLE, Base, Id, Name
from maimconfig.db.types import Money, Price


class UsageRecord(Base):
    """One thing done; it outlives the agent and the key that did it, but not the tenant.

    Attributes:
        moment: when it happened.
        day, hour: `2026-11-23` and `2026-11-23T08`, UTC, by which reports group.
        cost: in the currency of the models' prices.
        price_in, price_out: of the model when it was asked, per 1M tokens; None where the cost was
            reported, or nothing was asked.
        is_error: whether it failed.
        request_id: of the request that did it.
        provider: of the model.
        status: of a chat, `completed`, `aborted` (its reader left) or `failed`.
        estimated: whether the tokens are our estimate, for the provider told none.
        latency_ms: milliseconds from the request to the end of the reply.
    """

    __tablename__ = "usage_records"
    __table_args__ = (
        Index(None, "tenant_id", "moment"),
        Index(None, "tenant_id", "request_id"),
        Index(None, "moment"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    agent_id: Mapped[str | None] = mapped_column(Id)
    api_key_id: Mapped[str | None] = mapped_column(Id)
    user_id: Mapped[str | None] = mapped_column(Name)
    action: Mapped[str] = mapped_column(Name)
    model: Mapped[str | None] = mapped_column(Name)
    tokens_in: Mapped[int] = mapped_column(BigInteger, default=0)
    tokens_out: Mapped[int] = mapped_column(BigInteger, default=0)
    cost: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    price_in: Mapped[Decimal | None] = mapped_column(Price)
    price_out: Mapped[Decimal | None] = mapped_column(Price)
    is_error: Mapped[bool] = mapped_column(default=False)
    request_id: Mapped[str | None] = mapped_column(String(64))
    provider: Mapped[str | None] = mapped_column(Name)
    status: Mapped[str | None] = mapped_column(String(20))
    estimated: Mapped[bool] = mapped_column(default=False, server_default=false())
    latency_ms: Mapped[int | None] = mapped_column(BigInteger)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    moment: Mapped[datetime] = mapped_column()
    day: Mapped[str] = mapped_column(String(10))
    hour: Mapped[str] = mapped_column(String(13))


class UsageSum(Base):
    """What a tenant's usage of a span of time adds up to, in all or for one agent, key, …

    It is changed in the transaction that stores or deletes the records, and always equals them.
    It has no foreign key, which would cost another index: `tenants.service.remove` deletes it.

    Attributes:
        scope: the tenant's id; empty for records without one.
        kind: of whom, and of how long, see `usage.sums`: `all hour`, `agent month`, …
        period: `2026-11-23T08`, `2026-11-23`, `2026-11` or `2026`, UTC.
        part: which agent, key, …, as `sums.part_of` writes it; empty of `all`.
        tokens_in_high, …: sums of the numbers' upper bits and of their lower 32, for a sum of
            numbers may be larger than 64 bits.
    """

    __tablename__ = "usage_sums"
    __table_args__ = {**MYSQL_TABLE, "sqlite_with_rowid": False}

    scope: Mapped[str] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    period: Mapped[str] = mapped_column(String(13), primary_key=True)
    part: Mapped[str] = mapped_column(String(200), primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    tokens_in_high: Mapped[int] = mapped_column(BigInteger)
    tokens_in_low: Mapped[int] = mapped_column(BigInteger)
    tokens_out_high: Mapped[int] = mapped_column(BigInteger)
    tokens_out_low: Mapped[int] = mapped_column(BigInteger)
    cost_high: Mapped[int] = mapped_column(BigInteger)
    cost_low: Mapped[int] = mapped_column(BigInteger)
