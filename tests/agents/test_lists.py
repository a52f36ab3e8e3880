"""Far pages of a tenant's agents, which are found from marks."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maimconfig.agents import lists
from maimconfig.agents.marks import MOST_LISTS, MOST_MARKS, ListState, Mark, Marks
from tests import factories
from tests.api import Api

STATE = ListState(100, "agent_newest")


def page(api: Api, tenant_id: str, number: int) -> list[str]:
    query = f"tenant_id={tenant_id}&page={number}&page_size=2"
    found: Any = api.data(api.get(f"/api/v2/agents?{query}"))
    return [agent["id"] for agent in found["items"]]


def test_far_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are the same from marks as from the start, whatever is created and deleted."""
    monkeypatch.setattr(lists, "FAR", 0)
    tenant_id = factories.tenant(api, tenant_type="enterprise")["id"]
    others = factories.agent(api)["tenant_id"]
    expected: list[str] = []
    order = random.Random(7)
    for step in range(40):
        if len(expected) > 5 and order.random() < 0.4:
            gone = expected.pop(order.randrange(len(expected)))
            api.data(api.delete(f"/api/v2/agents/{gone}"))
        else:
            made = factories.agent(api, tenant_id, name=f"agent {step}")
            expected.insert(0, made["id"])
        for number in order.choices(range(1, len(expected) // 2 + 3), k=3):
            assert page(api, tenant_id, number) == expected[2 * number - 2 : 2 * number]
        assert len(page(api, others, 1)) == 1


def test_walking_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that stays as it is is walked through page by page, forwards and backwards."""
    monkeypatch.setattr(lists, "FAR", 0)
    tenant_id = factories.tenant(api, tenant_type="enterprise")["id"]
    made = [factories.agent(api, tenant_id, name=f"agent {i}")["id"] for i in range(7)][::-1]
    forwards = [page(api, tenant_id, number) for number in (1, 2, 3, 4, 5)]
    backwards = [page(api, tenant_id, number) for number in (5, 4, 3, 2, 1)]
    assert forwards == backwards[::-1] == [made[:2], made[2:4], made[4:6], made[6:], []]


def test_unknown_tenant(api: Api) -> None:
    """A far page of an unknown tenant is a tenant that isn't found."""
    answer = api.get("/api/v2/agents?tenant_id=tenant_unknown&page=1000")
    assert (answer.status_code, answer.get_json()["error_code"]) == (404, "TENANT_001")


def test_nearest() -> None:
    """The last mark before a place is found, or the one at it."""
    marks = Marks()
    for place in (40, 20, 60):
        marks.leave("x", STATE, Mark(place, "then", f"agent_{place}"))
    found = [marks.nearest("x", STATE, place) for place in (19, 20, 39, 40, 1000)]
    assert [mark and mark.place for mark in found] == [None, 20, 20, 40, 60]


@pytest.mark.parametrize("state", [ListState(99, "agent_newest"), ListState(100, "agent_newer")])
def test_another_state(state: ListState) -> None:
    """A mark isn't good for the list that comes after a creation or a deletion."""
    marks = Marks()
    marks.leave("x", STATE, Mark(20, "then", "agent_1"))
    assert marks.nearest("x", state, 20) is None
    marks.leave("x", state, Mark(40, "then", "agent_2"))
    assert marks.nearest("x", state, 30) is None
    assert marks.nearest("y", state, 50) is None


def test_memory() -> None:
    """However many pages of however many lists are read, marks stay few."""
    marks = Marks()
    for place in range(3 * MOST_MARKS):
        marks.leave("x", STATE, Mark(place, "then", "agent"))
    assert len(marks._lists["x"][1]) <= MOST_MARKS
    assert marks.nearest("x", STATE, 0) == Mark(0, "then", "agent")
    for number in range(2 * MOST_LISTS):
        marks.leave(str(number), STATE, Mark(1, "then", "agent"))
    assert len(marks._lists) == MOST_LISTS
