"""/api/v2/tenants/{id}/billing"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.db.types import Money
from maimconfig.runtime import Runtime
from maimconfig.usage import billing, service
from tests import factories
from tests.api import Api

NOVEMBER = datetime(2026, 11, 1, tzinfo=timezone.utc)
NOTHING = {"requests": 0, "tokens_in": 0, "tokens_out": 0, "cost": "0"}

Store = Callable[..., None]


@pytest.fixture
def owner(api: Api) -> str:
    """A tenant, beside another that used something."""
    factories.usage(api, factories.tenant(api)["id"], details={"cost": 5})
    return factories.tenant(api)["id"]


@pytest.fixture
def store(runtime: Runtime, owner: str) -> Store:
    """Stores usage rows of the tenant, as a chat does."""

    def add(*rows: dict[str, Any]) -> None:
        def work(session: Session) -> None:
            for row in rows:
                given = {"action": "chat", "moment": NOVEMBER, **row}
                service.store(session, id=new_id("usage"), tenant_id=owner, **given)

        runtime.write(work)

    return add


def statement(api: Api, tenant_id: str, **query: str) -> dict[str, Any]:
    """A tenant's statement."""
    return api.data(api.get(f"/api/v2/tenants/{tenant_id}/billing", query_string=query))


def test_all_fields(api: Api, owner: str, store: Store) -> None:
    """A statement has an item for each model and pair of prices, in their order, and the sum."""
    dear, cheap = (
        {"model": "a", "price_in": Decimal(price), "price_out": Decimal("100"), "tokens_in": 10}
        for price in ("2.50", "1E-7")
    )
    store(
        {**dear, "cost": Decimal("0.2"), "tokens_out": 3},
        {**dear, "cost": Decimal("0.1"), "price_in": Decimal("2.5")},
        {**cheap, "cost": Decimal("0.000000001")},
        {"cost": Decimal(7)},
    )
    assert statement(api, owner, month="2026-11") == {
        "tenant_id": owner,
        "month": "2026-11",
        "items": [
            {**NOTHING, "model": None, "price_in": None, "price_out": None, "requests": 1,
             "cost": "7"},
            {"model": "a", "price_in": "0.0000001", "price_out": "100", "requests": 1,
             "tokens_in": 10, "tokens_out": 0, "cost": "0.000000001"},
            {"model": "a", "price_in": "2.5", "price_out": "100", "requests": 2,
             "tokens_in": 20, "tokens_out": 3, "cost": "0.3"},
        ],
        "total": {"requests": 4, "tokens_in": 30, "tokens_out": 3, "cost": "7.300000001"},
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_exact(seed: int, api: Api, owner: str, store: Store) -> None:
    """Items and total equal the sums of the usage rows to the last digit, and the usage report."""
    drawn = random.Random(seed)
    rows = [
        {
            "model": drawn.choice(["a", "b", "模型", None]),
            "price_in": drawn.choice([None, Decimal("0.3"), Decimal("7E+20")]),
            "price_out": drawn.choice([None, Decimal("0.6")]),
            "tokens_in": drawn.randrange(2 ** drawn.choice([8, 53])),
            "tokens_out": drawn.randrange(2 ** drawn.choice([8, 53])),
            "cost": drawn.randrange(10 ** drawn.choice([1, 9, 18])) * Money.UNIT,
        }
        for _ in range(300)
    ]
    store(*rows)
    sums: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["model"], row["price_in"], row["price_out"]] += row["cost"]
    found = statement(api, owner, month="2026-11")
    told = {
        (item["model"], as_price(item["price_in"]), as_price(item["price_out"])): item
        for item in found["items"]
    }
    assert len(told) == len(found["items"])
    assert {what: Decimal(item["cost"]) for what, item in told.items()} == sums
    assert Decimal(found["total"]["cost"]) == sum(row["cost"] for row in rows)
    for name in ("tokens_in", "tokens_out"):
        assert found["total"][name] == sum(row[name] for row in rows)
        assert found["total"][name] == sum(item[name] for item in found["items"])
    reported = api.data(api.get("/api/v2/usage", query_string={"tenant_id": owner}))["totals"]
    assert {**found["total"], "errors": 0} == reported


def as_price(text: str | None) -> Decimal | None:
    """A price as it is told."""
    return None if text is None else Decimal(text)


@pytest.mark.parametrize(
    ("month", "inside", "outside"),
    [
        (
            "2026-11",
            ["2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999Z", "2026-12-01T07:59:59+08:00"],
            ["2026-10-31T23:59:59.999999Z", "2026-12-01T00:00:00Z", "2025-11-05T00:00:00Z"],
        ),
        ("2028-02", ["2028-02-29T23:59:59Z"], ["2028-03-01T00:00:00Z"]),
        ("0001-01", ["0001-01-01T00:00:00Z"], ["0001-02-01T00:00:00Z"]),
        ("9999-12", ["9999-12-31T23:59:59.999999Z"], ["9999-11-30T23:59:59.999999Z"]),
    ],
)
def test_month(month: str, inside: list[str], outside: list[str], api: Api, owner: str) -> None:
    """A month is one of UTC, from its first microsecond to its last."""
    for at in inside + outside:
        factories.usage(api, owner, timestamp=at)
    assert statement(api, owner, month=month)["total"]["requests"] == len(inside)


def test_this_month(api: Api, owner: str) -> None:
    """Without a month it is the current one, of UTC."""
    with time_machine.travel("2036-02-29T23:30:00Z", tick=False):
        factories.usage(api, owner, details={"cost": "0.5"})
        found = statement(api, owner)
        assert (found["month"], found["total"]["cost"]) == ("2036-02", "0.5")
    with time_machine.travel("2036-03-01T00:00:00Z", tick=False):
        empty = {"tenant_id": owner, "month": "2036-03", "items": [], "total": NOTHING}
        assert statement(api, owner) == empty


@pytest.mark.parametrize(
    "month",
    ["", "2026", "2026-13", "2026-00", "0000-01", "2026-1", "2026-11-01", "２０２６-11",
     "2026-11\n", " 2026-11", "-2026-11", "now"],
)  # fmt: skip
def test_wrong_month(month: str, api: Api, owner: str) -> None:
    """What is no month is 422."""
    answer = api.get(f"/api/v2/tenants/{owner}/billing", query_string={"month": month})
    assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == ["month"]


def test_unknown_tenant(api: Api) -> None:
    """An unknown tenant is 404 TENANT_001."""
    api.error(api.get("/api/v2/tenants/tenant_nope/billing"), 404, "TENANT_001")


def test_many(api: Api, owner: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the most items that are told counts in the total."""
    monkeypatch.setattr(billing, "MAX_ITEMS", 2)
    store(*({"model": name, "cost": Decimal(1)} for name in "abc"))
    found = statement(api, owner, month="2026-11")
    assert [item["model"] for item in found["items"]] == ["a", "b"]
    assert found["total"]["cost"] == "3"
