"""Lists: which page, how many, in what order."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from sqlalchemy import select, update

from maimconfig import clock
from maimconfig.http.pagination import Page, cut_out
from maimconfig.runtime import Runtime
from maimconfig.tenants.models import Tenant
from tests import factories
from tests.api import Api

TENANTS = "/api/v2/tenants"


def page_of(api: Api, **query: Any) -> dict[str, Any]:
    """A page of tenants."""
    return api.data(api.get(TENANTS, query_string=query))


def ids(page: dict[str, Any]) -> list[str]:
    """Which objects are on a page."""
    return [item["id"] for item in page["items"]]


@pytest.fixture
def five(api: Api) -> list[str]:
    """Five tenants, the newest first."""
    return [factories.tenant(api)["id"] for _ in range(5)][::-1]


BAD_NUMBERS = ["0", "-1", str(10**21), str(10**9 + 1), "1.0", "1e1", "one", "", " 1", "0x1", "１"]


@pytest.mark.parametrize("name", ["page", "page_size", "size"])
def test_bad_numbers(api: Api, name: str) -> None:
    """What isn't a number in range is 422 and names the parameter that was sent."""
    for number in (*BAD_NUMBERS, *(() if name == "page" else ("101",))):
        refused = api.get(TENANTS, query_string={name: number})
        details = api.error(refused, 422, "VALIDATION_ERROR")["details"]
        assert list(details) == ["page" if name == "page" else "page_size"]


@pytest.mark.parametrize("number", ["0", "-1", str(10**9 + 1)])
def test_numbers_out_of_range(api: Api, number: str) -> None:
    """An integer that is no page is told the range, and not that it is none."""
    refused = api.get(TENANTS, query_string={"page": number}, headers={"Accept-Language": "en"})
    details = api.error(refused, 422, "VALIDATION_ERROR")["details"]
    assert details == {"page": ["Must be between 1 and 1000000000"]}


def test_the_first_page(api: Api, five: list[str]) -> None:
    """Without a query the first 20 are shown, newest first."""
    first = page_of(api)
    assert ids(first) == five
    assert first["pagination"] == {
        "page": 1, "page_size": 20, "total": 5, "total_pages": 1,
        "has_next": False, "has_prev": False,
    }  # fmt: skip


def test_pages(api: Api, five: list[str]) -> None:
    """Pages follow each other without a gap, and know what is before and after them."""
    pages = [page_of(api, page=number, page_size=2) for number in (1, 2, 3)]
    assert [ids(page) for page in pages] == [five[:2], five[2:4], five[4:]]
    around = [(page["pagination"]["has_prev"], page["pagination"]["has_next"]) for page in pages]
    assert around == [(False, True), (True, True), (True, False)]
    assert {page["pagination"]["total_pages"] for page in pages} == {3}


@pytest.mark.parametrize("total", [5, 4])
def test_every_stretch(total: int, api: Api, runtime: Runtime, five: list[str]) -> None:
    """Whatever is cut out of a list, from whichever end it is found, is what a walk would give;
    a stretch beyond it is empty."""
    wanted, order = five[5 - total :], (Tenant.created_at, Tenant.id)
    rows = select(Tenant.id).where(Tenant.id.in_(wanted))
    for limit, offset in product((1, 2, 3, 5, 9), range(8)):
        cut = cut_out(rows, order, limit=limit, offset=offset, total=total)
        found = runtime.read(lambda session, cut=cut: session.scalars(cut).all())  # type: ignore[misc]
        assert sorted(found, reverse=True) == wanted[offset : offset + limit]


@pytest.mark.parametrize("number", [4, 1000, 10**9])
def test_beyond_the_last_page(api: Api, five: list[str], number: int) -> None:
    """A page beyond the last one is empty and still knows the total."""
    beyond = page_of(api, page=number, page_size=2)
    assert beyond["items"] == []
    assert beyond["pagination"]["total"] == len(five)
    assert (beyond["pagination"]["has_prev"], beyond["pagination"]["has_next"]) == (True, False)


def test_nothing(api: Api) -> None:
    """An empty list has no pages."""
    nothing = page_of(api)
    assert nothing["items"] == []
    assert (nothing["pagination"]["total"], nothing["pagination"]["total_pages"]) == (0, 0)


def test_size(api: Api, five: list[str]) -> None:
    """`size` is another name of `page_size`."""
    assert page_of(api, size=2) == page_of(api, page_size=2)
    assert page_of(api, size=2, page_size=2)["pagination"]["page_size"] == 2
    assert len(page_of(api, size=100)["items"]) == len(five)


def test_size_and_page_size(api: Api) -> None:
    """Two sizes that contradict each other are 422."""
    refused = api.get(TENANTS, query_string={"size": 2, "page_size": 3})
    details = api.error(refused, 422, "VALIDATION_ERROR")["details"]
    assert details == {"size": ["size 与 page_size 不一致"]}


def test_made_at_the_same_moment(api: Api, runtime: Runtime) -> None:
    """Objects of the same moment keep one order from page to page, so none shows twice."""
    made = {factories.tenant(api)["id"] for _ in range(7)}
    moment = clock.now()
    runtime.write(lambda session: session.execute(update(Tenant).values(created_at=moment)))
    pages = [ids(page_of(api, page=number, page_size=2)) for number in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    together = [found for page in pages for found in page]
    assert set(together) == made
    assert together == ids(page_of(api))


def test_a_moment_counts_before_an_id(api: Api, runtime: Runtime, five: list[str]) -> None:
    """Newest first goes by created_at."""
    late = clock.now().replace(year=2100)

    def postpone(session: Any) -> None:
        session.execute(update(Tenant).where(Tenant.id == five[-1]).values(created_at=late))

    runtime.write(postpone)
    assert ids(page_of(api)) == [five[-1], *five[:-1]]


def test_filtered_and_counted(api: Api, five: list[str]) -> None:
    """The total counts what the filters leave."""
    api.data(api.put(f"{TENANTS}/{five[0]}", {"status": "suspended"}))
    active = page_of(api, status="active", page_size=3)
    assert ids(active) == five[1:4]
    assert active["pagination"]["total"] == 4
    assert ids(page_of(api, status="suspended")) == [five[0]]


@pytest.mark.parametrize(
    ("page", "size", "total", "expected"),
    [
        (1, 20, 0, (0, False, False)),
        (1, 20, 20, (1, False, False)),
        (1, 20, 21, (2, True, False)),
        (2, 20, 21, (2, False, True)),
        (3, 20, 21, (2, False, True)),
        (1, 1, 3, (3, True, False)),
    ],
)
def test_arithmetic(page: int, size: int, total: int, expected: tuple[int, bool, bool]) -> None:
    """A page knows how many there are, and whether there is one before and after it."""
    shown = Page([], page, size, total).pagination
    assert (shown["total_pages"], shown["has_next"], shown["has_prev"]) == expected
