"""What the tests of chats share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from maimconfig.chat import asking
from maimconfig.chat.models import ChatMessage, MonthlyUse, PendingReply
from maimconfig.runtime import Runtime
from maimconfig.usage.models import UsageRecord
from tests.chat.script import Script


@pytest.fixture
def script(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Providers that do what the test says."""
    made = Script()
    monkeypatch.setattr(runtime, "providers", made)
    monkeypatch.setattr(asking, "targets", lambda *given: made.targets())
    monkeypatch.setattr(asking, "estimate", lambda messages: made.estimate(messages))
    return made


@pytest.fixture
def rows(runtime: Runtime) -> Callable[..., list[Any]]:
    """Reads all rows of a table, in order: `rows(UsageRecord, tenant_id)`."""

    def read(model: Any, tenant_id: str | None = None) -> list[Any]:
        order = {ChatMessage: ChatMessage.seq, UsageRecord: UsageRecord.moment}
        wanted = select(model)
        if tenant_id is not None:
            wanted = wanted.where(model.tenant_id == tenant_id)
        if model in order:
            wanted = wanted.order_by(order[model])
        return list(runtime.read(lambda session: session.scalars(wanted).all()))

    return read


@pytest.fixture
def settled(rows: Callable[..., list[Any]]) -> Callable[[str], bool]:
    """Whether nothing of a tenant is pending, and its month says what its usage rows say."""

    def look(tenant_id: str) -> bool:
        usage = rows(UsageRecord, tenant_id)
        months = rows(MonthlyUse, tenant_id)
        counted = sum(month.tokens for month in months), sum(month.cost for month in months)
        used = (
            sum(row.tokens_in + row.tokens_out for row in usage),
            sum(row.cost for row in usage),
        )
        return rows(PendingReply, tenant_id) == [] and counted == used

    return look
