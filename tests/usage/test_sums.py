"""Sums of usage: whatever happens to the records, each report is what they add up to."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from sqlalchemy import delete, func, select

from maimconfig import retention
from maimconfig.agents import service as agents
from maimconfig.db import migrations
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.runtime import Runtime
from maimconfig.settings import Settings
from maimconfig.tenants import service as tenants
from maimconfig.tenants import stats
from maimconfig.usage import billing, report, service
from maimconfig.usage.models import UsageRecord, UsageSum
from maimconfig.usage.report import cost_text
from maimconfig.usage.spans import RECORDS, spans
from maimconfig.usage.sums import KINDS
from tests import factories
from tests.api import Api

NOW = datetime(2026, 11, 24, 8, tzinfo=timezone.utc)
GROUPS = {"day": "day", "hour": "hour", "agent": "agent_id", "api_key": "api_key_id",
          "user": "user_id", "model": "model", "action": "action"}  # fmt: skip
# At, before and after the beginnings of hours, days, months and years.
EDGES = [
    datetime(*start, tzinfo=timezone.utc) + timedelta(microseconds=beside)
    for start in ((2025, 12, 31, 23), (2026, 1, 1), (2026, 2, 28), (2026, 3, 1), (2026, 10, 31),
                  (2026, 11, 1), (2026, 11, 24), (2026, 11, 24, 7))
    for beside in (-1, 0, 1)
]  # fmt: skip


def log_many(runtime: Runtime, tenant_id: str | None, seed: int, number: int = 120) -> None:
    """Store usage at and around the edges."""
    chance = random.Random(seed)

    def work(session: Session) -> None:
        for _ in range(number):
            priced = chance.random() < 0.7
            service.store(
                session,
                id=new_id("usage"),
                moment=chance.choice(EDGES) + chance.choice((0, 1, 40)) * timedelta(minutes=30),
                tenant_id=tenant_id,
                agent_id=chance.choice((None, "agent_1", "agent_2")),
                api_key_id=chance.choice((None, "key_1", "钥匙")),
                user_id=chance.choice((None, "", "=x", "u 1")),
                model=chance.choice((None, "m", "m 2", "é")),
                action=chance.choice(("chat", "embed")),
                tokens_in=chance.choice((0, 7, 2**53)),
                tokens_out=chance.randrange(9),
                cost=chance.choice((Decimal(0), Decimal("0.000000001"), Decimal(10**9))),
                price_in=Decimal("0.30") if priced else None,
                price_out=chance.choice((Decimal(2), Decimal("1E-7"))) if priced else None,
                is_error=chance.random() < 0.2,
            )

    runtime.write(work)


def records(runtime: Runtime, tenant_id: str | None) -> list[UsageRecord]:
    """All that a tenant used."""
    own = select(UsageRecord).where(UsageRecord.tenant_id == tenant_id)
    return runtime.read(lambda session: list(session.scalars(own)))


def added(rows: list[UsageRecord]) -> dict[str, Any]:
    """What records add up to, one after the other."""
    return {
        "requests": len(rows),
        "errors": sum(row.is_error for row in rows),
        "tokens_in": sum(row.tokens_in for row in rows),
        "tokens_out": sum(row.tokens_out for row in rows),
        "cost": cost_text(sum(int(row.cost * 10**9) for row in rows)),
    }


def made_report(runtime: Runtime, **wanted: Any) -> dict[str, Any]:
    """A report."""
    return runtime.read(lambda session: report.make(session, **wanted))


def assert_equal(runtime: Runtime, tenant_id: str, seed: int = 1) -> None:
    """The reports of windows of all kinds, the statements and the statistics are the records'."""
    rows, chance = records(runtime, tenant_id), random.Random(seed)
    windows = [(None, None), *((chance.choice([None, *EDGES]), chance.choice([None, *EDGES]))
                               for _ in range(5))]  # fmt: skip
    for since, until in windows:
        inside = [row for row in rows if (since is None or row.moment >= since)
                  and (until is None or row.moment < until)]  # fmt: skip
        for group_by, attribute in GROUPS.items():
            window: dict[str, Any] = {"since": since, "until": until, "group_by": group_by}
            made = made_report(runtime, tenant_id=tenant_id, **window)
            assert made["totals"] == added(inside)
            groups = defaultdict(list)
            for row in inside:
                groups[getattr(row, attribute)].append(row)
            wanted = [{"group": group, **added(of_it)} for group, of_it in groups.items()]
            wanted.sort(key=lambda item: (item["group"] is not None, item["group"]))
            assert made["items"] == wanted, window
            page, page_size = chance.randint(1, 3), chance.randint(1, 3)
            cut = made_report(
                runtime, tenant_id=tenant_id, **window, page=page, page_size=page_size
            )
            assert cut["items"] == wanted[(page - 1) * page_size : page * page_size], window
            assert cut["totals"] == made["totals"]
            assert cut["pagination"]["total"] == len(wanted)
    _assert_statements(runtime, tenant_id, rows)


def _assert_statements(runtime: Runtime, tenant_id: str, rows: list[UsageRecord]) -> None:
    for month in ("2025-12", "2026-01", "2026-11", "2026-12"):
        made = runtime.read(
            lambda session, month=month: billing.statement(session, tenant_id, month)  # type: ignore[misc]
        )
        of_month = [row for row in rows if row.day.startswith(month)]
        total = added(of_month)
        assert made["total"] == {name: total[name] for name in made["total"]}
        assert sum(item["requests"] for item in made["items"]) == len(of_month)
        for item in made["items"]:
            prices = [None if item[name] is None else Decimal(item[name])
                      for name in ("price_in", "price_out")]  # fmt: skip
            of_it = added([row for row in of_month if [row.model, row.price_in, row.price_out]
                           == [item["model"], *prices]])  # fmt: skip
            assert {name: of_it[name] for name in made["total"]} == {
                name: item[name] for name in made["total"]
            }
    with time_machine.travel(NOW, tick=False):
        told = runtime.read(lambda session: stats.of(session, tenants.get(session, tenant_id)))
    spans_of = {
        "total": rows,
        "this_month": [row for row in rows if row.day.startswith("2026-11")],
        "today": [row for row in rows if row.day == "2026-11-24"],
    }
    for span, of_it in spans_of.items():
        sums = added(of_it)
        assert told["tokens"][span] == sums["tokens_in"] + sums["tokens_out"]
        assert told["cost"][span] == sums["cost"]
        assert told["messages"][span] == sum(row.action == "chat" for row in of_it)


def all_sums(runtime: Runtime) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The stored sums by their keys."""
    rows = runtime.read(lambda session: session.execute(select(UsageSum.__table__)).all())
    return {tuple(row[:4]): tuple(row[4:]) for row in rows}


def test_reports(api: Api, runtime: Runtime) -> None:
    """A report of any window and group, a statement and the statistics are what the records add
    up to, and another tenant's records aren't in them."""
    owner, other = (factories.tenant(api)["id"] for _ in range(2))
    log_many(runtime, other, 1)
    log_many(runtime, owner, 2)
    log_many(runtime, None, 3)
    assert_equal(runtime, owner)
    assert_equal(runtime, other)


def test_logged(api: Api, runtime: Runtime) -> None:
    """What is logged by hand counts, also in the past; an agent's deletion takes nothing away."""
    agent = factories.agent(api)
    for timestamp in (None, "2025-12-31T23:59:59.999999Z", "9999-12-31T23:59:59Z"):
        details = {"prompt_tokens": 2**53, "cost": "0.3", "status": "error", "model": "m"}
        factories.usage(api, agent["tenant_id"], agent_id=agent["id"], timestamp=timestamp,
                        details=details)  # fmt: skip
    runtime.write(lambda session: agents.remove(session, agent["id"]))
    assert_equal(runtime, agent["tenant_id"])


@pytest.fixture
def forgetful(settings: Settings) -> Iterator[Runtime]:
    """A runtime that keeps usage for 30 days."""
    runtime = Runtime.open(replace(settings, usage_retention_days=30))
    yield runtime
    runtime.close()


@time_machine.travel(NOW, tick=False)
def test_retention(api: Api, forgetful: Runtime) -> None:
    """What retention deletes leaves the sums with it, and nothing stays that is empty."""
    owner = factories.tenant(api)["id"]
    log_many(forgetful, owner, 4, 200)
    log_many(forgetful, None, 5)
    before = len(records(forgetful, owner))
    assert sum(retention.batches(forgetful)) > 0
    assert 0 < len(records(forgetful, owner)) < before
    assert_equal(forgetful, owner)
    assert all(numbers[0] > 0 for numbers in all_sums(forgetful).values())


def test_tenant_deleted(api: Api, runtime: Runtime) -> None:
    """A tenant's sums go with it, and no other's."""
    owner, other = (factories.tenant(api)["id"] for _ in range(2))
    log_many(runtime, owner, 6, 20)
    log_many(runtime, other, 7, 20)
    runtime.write(lambda session: tenants.remove(session, owner))
    assert {key[0] for key in all_sums(runtime)} == {other}
    assert_equal(runtime, other)


def test_rolled_back(api: Api, runtime: Runtime) -> None:
    """A record that isn't stored doesn't count."""
    owner = factories.tenant(api)["id"]
    log_many(runtime, owner, 8, 5)
    known = records(runtime, owner)[0]
    with pytest.raises(Exception, match=r"UNIQUE|Duplicate"):
        runtime.write(
            lambda session: service.store(
                session, id=known.id, moment=NOW, tenant_id=owner, action="again"
            )
        )
    assert_equal(runtime, owner)


def test_everybody(api: Api, runtime: Runtime) -> None:
    """The totals of all tenants have nobody's records in them, and not those of other days."""
    owners = [factories.tenant(api)["id"] for _ in range(2)]
    for seed, owner in enumerate([*owners, None]):
        log_many(runtime, owner, seed, 40)
    every = [row for owner in [*owners, None] for row in records(runtime, owner)]
    for kind, period in (("all day", "2026-11-24"), ("all month", "2026-11")):
        made = runtime.read(
            lambda session, kind=kind, period=period: report.of_everybody(session, kind, period)  # type: ignore[misc]
        )
        assert made == added([row for row in every if row.day.startswith(period)])


def test_migration(api: Api, runtime: Runtime) -> None:
    """The migration adds up the same sums as the service does, also when it runs again."""
    log_many(runtime, factories.tenant(api)["id"], 9)
    log_many(runtime, None, 10)
    kept = all_sums(runtime)
    with runtime.database.writer.begin() as connection:
        connection.execute(delete(UsageSum).where(UsageSum.kind != "all day"))
    migrations.stamp(runtime.database, "0006")
    migrations.upgrade(runtime.database)
    assert all_sums(runtime) == kept


@pytest.mark.parametrize(
    "lengths",
    [("year", "month", "day"), ("month", "day", "hour"), ("month", "day"), ("hour",)],
)
def test_spans(lengths: tuple[str, ...]) -> None:
    """Spans follow each other without a gap, from the beginning to the end, in whole ones."""
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)
    for since in [None, *EDGES, last]:
        for until in [None, *EDGES, last]:
            made = list(spans(since, until, lengths))
            if since and until and since >= until:
                assert made == []
                continue
            assert (made[0].since, made[-1].until) == (since, until)
            assert all(one.until == two.since for one, two in pairwise(made))
            for span in made:
                if span.length != RECORDS:
                    zeros = {"year": 4, "month": 3, "day": 2, "hour": 1}[span.length]
                    for end in filter(None, (span.since, span.until)):
                        start = [end.minute, end.hour, end.day - 1, end.month - 1]
                        assert start[:zeros] == [0] * zeros
            assert sum(span.length == RECORDS for span in made) <= 2


def test_count(runtime: Runtime) -> None:
    """Each record is in one sum of each kind."""
    log_many(runtime, None, 11, 30)
    per_kind = select(UsageSum.kind, func.sum(UsageSum.requests)).group_by(UsageSum.kind)
    found = runtime.read(lambda session: session.execute(per_kind).all())
    assert {int(number) for _, number in found} == {30}
    assert {kind for kind, _ in found} == set(KINDS)
