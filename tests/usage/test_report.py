"""/api/v2/usage"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from maimconfig.usage import pages
from tests import factories
from tests.api import Api

URL = "/api/v2/usage"
NOTHING = {"requests": 0, "errors": 0, "tokens_in": 0, "tokens_out": 0, "cost": "0"}


def report(api: Api, tenant_id: str, **query: Any) -> dict[str, Any]:
    """A tenant's report."""
    names = {"since": "from", "until": "to"}
    given = {names.get(name, name): value for name, value in query.items()}
    return api.data(api.get(URL, query_string={"tenant_id": tenant_id, **given}))


def as_csv(api: Api, tenant_id: str, **query: Any) -> list[list[str]]:
    """The rows of a report as CSV."""
    answer = api.get(
        URL, query_string={"tenant_id": tenant_id, **query}, headers={"Accept": "text/csv"}
    )
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True))))


@pytest.fixture
def owner(api: Api) -> str:
    """A tenant that used something, and another that did too."""
    factories.usage(api, factories.tenant(api)["id"], details={"cost": 5})
    tenant_id = factories.tenant(api)["id"]
    one, two = (factories.agent(api, tenant_id, name=name)["id"] for name in ("one", "two"))
    rows = [
        ("2026-11-01T00:00:00Z", one, "chat", {"model": "a", "api_key_id": "key_1"}),
        ("2026-11-01T00:59:59.999999Z", one, "chat", {"model": "b", "api_key_id": "key_2"}),
        ("2026-11-01T01:00:00Z", two, "embed", {"model": "a", "status": "error"}),
        ("2026-11-02T23:00:00Z", None, "chat", {}),
    ]
    users = ["user_1", "用户", "user_1", None]
    for number, (timestamp, agent_id, action, details) in enumerate(rows, 1):
        used = {"prompt_tokens": 10 * number, "completion_tokens": number, "cost": 0.1 * number}
        factories.usage(
            api,
            tenant_id,
            agent_id=agent_id,
            action=action,
            user_id=users[number - 1],
            timestamp=timestamp,
            details={**details, **used, "cost": f"0.{number}"},
        )
    return tenant_id


def groups(found: dict[str, Any]) -> dict[Any, int]:
    """The requests of each group, in order."""
    return {item["group"]: item["requests"] for item in found["items"]}


def test_totals(api: Api, owner: str) -> None:
    """Without a grouping there are the sums of all, and no page has anything on it."""
    nowhere = {"page": 1, "page_size": 100, "total": 0, "total_pages": 0,
               "has_next": False, "has_prev": False}  # fmt: skip
    assert report(api, owner) == {
        "tenant_id": owner,
        "group_by": None,
        "totals": {"requests": 4, "errors": 1, "tokens_in": 100, "tokens_out": 10, "cost": "1"},
        "items": [],
        "pagination": nowhere,
    }


def test_nothing(api: Api) -> None:
    """A tenant that used nothing has zeros."""
    owner = factories.tenant(api)["id"]
    found = report(api, owner, group_by="day")
    assert (found["totals"], found["items"]) == (NOTHING, [])


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("day", {"2026-11-01": 3, "2026-11-02": 1}),
        ("hour", {"2026-11-01T00": 2, "2026-11-01T01": 1, "2026-11-02T23": 1}),
        ("api_key", {None: 2, "key_1": 1, "key_2": 1}),
        ("user", {None: 1, "user_1": 2, "用户": 1}),
        ("model", {None: 1, "a": 2, "b": 1}),
        ("action", {"chat": 3, "embed": 1}),
    ],
)
def test_group_by(group_by: str, expected: dict[Any, int], api: Api, owner: str) -> None:
    """Each group has its sums, in the order of the groups; together they are the totals."""
    found = report(api, owner, group_by=group_by)
    assert found["group_by"] == group_by
    assert list(groups(found).items()) == list(expected.items())
    for name in ("requests", "errors", "tokens_in", "tokens_out"):
        assert sum(item[name] for item in found["items"]) == found["totals"][name]
    costs = sum(Decimal(item["cost"]) for item in found["items"])
    assert costs == Decimal(found["totals"]["cost"])


def test_pages(api: Api, owner: str) -> None:
    """Groups come in pages, whose totals are those of all groups; CSV has all of them, or the
    page that is asked for."""
    pages = [report(api, owner, group_by="hour", page=number, size=2) for number in (1, 2, 3)]
    assert [list(groups(page)) for page in pages] == [
        ["2026-11-01T00", "2026-11-01T01"],
        ["2026-11-02T23"],
        [],
    ]
    assert all(page["totals"] == report(api, owner)["totals"] for page in pages)
    assert pages[0]["pagination"] == {
        "page": 1, "page_size": 2, "total": 3, "total_pages": 2,
        "has_next": True, "has_prev": False,
    }  # fmt: skip
    assert len(as_csv(api, owner, group_by="hour")) == 1 + 3
    assert len(as_csv(api, owner, group_by="hour", page_size=2, page=2)) == 1 + 1


@pytest.mark.parametrize("most_periods", [pages.MOST_PERIODS, 1])
@pytest.mark.parametrize("group_by", ["day", "agent", "user", "model"])
def test_every_page(
    group_by: str, most_periods: int, api: Api, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of any size are the stretches of all groups, of one period or of many; a group that
    is in several periods is on one page."""
    monkeypatch.setattr(pages, "MOST_PERIODS", most_periods)
    for year in ("2024", "2025"):
        for user in ("a", "user_1", "z"):
            factories.usage(
                api,
                owner,
                user_id=user,
                details={"model": user},
                timestamp=f"{year}-05-05T05:05:00Z",
            )
    for since in (None, "2025-05-05T05:00:00Z", "2025-05-05T05:01:00Z"):
        query = {"group_by": group_by, **({"since": since} if since else {})}
        every = report(api, owner, **query)["items"]
        assert len({item["group"] for item in every}) == len(every) > 1
        for size in (1, 2, 3):
            for page in range(1, 5):
                found = report(api, owner, **query, page_size=size, page=page)
                assert found["items"] == every[(page - 1) * size :][:size]
                assert found["pagination"]["total"] == len(every)


@pytest.mark.parametrize("page_size", [0, 1001])
def test_page_size(api: Api, owner: str, page_size: int) -> None:
    """A page has up to a thousand groups."""
    query = {"tenant_id": owner, "group_by": "hour", "page_size": page_size}
    api.error(api.get(URL, query_string=query), 422, "VALIDATION_ERROR")


def test_by_agent(api: Api, owner: str) -> None:
    """Usage is told by agent, also of one that is deleted since."""
    items = api.data(api.get("/api/v2/agents", query_string={"tenant_id": owner}))["items"]
    ids = {item["name"]: item["id"] for item in items}
    api.data(api.delete(f"/api/v2/agents/{ids['one']}"))
    found = report(api, owner, group_by="agent")
    assert groups(found) == {None: 1, ids["one"]: 2, ids["two"]: 1}
    (row,) = (item for item in found["items"] if item["group"] == ids["two"])
    expected = {"requests": 1, "errors": 1, "tokens_in": 30, "tokens_out": 3, "cost": "0.3"}
    assert row == {"group": ids["two"], **expected}


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ({"since": "2026-11-01T00:00:00Z"}, 4),
        ({"since": "2026-11-01T00:00:00.000001Z"}, 3),
        ({"since": "2026-11-01T09:00:00+08:00"}, 2),
        ({"since": "2026-11-01T09:00:00 08:00"}, 2),
        ({"since": "2026-11-03T00:00:00Z"}, 0),
        ({"until": "2026-11-01T01:00:00Z"}, 2),
        ({"until": "2026-11-01T01:00:00.000001Z"}, 3),
        ({"since": "2026-11-01T01:00:00Z", "until": "2026-11-02T23:00:00Z"}, 1),
        ({"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, 0),
    ],
)
def test_from_and_to(query: dict[str, str], requests: int, api: Api, owner: str) -> None:
    """From is included, to is not; totals and groups follow both."""
    found = report(api, owner, group_by="action", **query)
    assert found["totals"]["requests"] == requests
    assert sum(groups(found).values()) == requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("group_by", "users"),
        ("group_by", ""),
        ("from", "2026-11-01"),
        ("from", "2026-11-01T00:00:00"),
        ("to", "now"),
    ],
)
def test_wrong_query(name: str, value: str, api: Api, owner: str) -> None:
    """A wrong parameter is 422 with its name."""
    answer = api.get(URL, query_string={"tenant_id": owner, name: value})
    assert list(api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [name]


def test_tenant(api: Api) -> None:
    """A report is a tenant's: none named is 422, an unknown one 404 TENANT_001."""
    assert list(api.error(api.get(URL), 422, "VALIDATION_ERROR")["details"]) == ["tenant_id"]
    api.error(api.get(URL, query_string={"tenant_id": "tenant_nope"}), 404, "TENANT_001")


def test_exact(api: Api) -> None:
    """The sum equals that of the entries to the last digit, beyond 64 bits too."""
    owner = factories.tenant(api)["id"]
    costs = ["0.000000001", "0.1", "0.2", *["1000000000"] * 10]
    for cost in costs:
        details = {"cost": cost, "prompt_tokens": 2**53}
        factories.usage(api, owner, details=details)
    found = report(api, owner, group_by="action")
    assert found["totals"]["cost"] == "10000000000.300000001"
    assert found["items"][0]["cost"] == "10000000000.300000001"
    assert found["totals"]["tokens_in"] == 13 * 2**53


class TestCsv:
    HEAD = ["group", "requests", "errors", "tokens_in", "tokens_out", "cost"]

    def test_groups(self, api: Api, owner: str) -> None:
        """Accept: text/csv gives a row for each group."""
        assert as_csv(api, owner, group_by="day") == [
            self.HEAD,
            ["2026-11-01", "3", "1", "60", "6", "0.6"],
            ["2026-11-02", "1", "0", "40", "4", "0.4"],
        ]

    def test_totals(self, api: Api, owner: str) -> None:
        """Without a grouping there is one row, of the totals."""
        assert as_csv(api, owner) == [self.HEAD, ["", "4", "1", "100", "10", "1"]]

    def test_empty_group(self, api: Api, owner: str) -> None:
        """What has no model is the group without a name."""
        assert [row[0] for row in as_csv(api, owner, group_by="model")] == ["group", "", "a", "b"]

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", '=HYPERLINK("http://x")', "=a,b\"c'"]
    )
    def test_formulas(self, text: str, api: Api) -> None:
        """A group that a spreadsheet would take for a formula is marked as text."""
        owner = factories.tenant(api)["id"]
        factories.usage(api, owner, action=text)
        assert as_csv(api, owner, group_by="action")[1][0] == f"'{text}"

    def test_quoting(self, api: Api) -> None:
        """Commas, quotes and Chinese come through."""
        owner = factories.tenant(api)["id"]
        factories.usage(api, owner, action='对话, "甲"')
        assert as_csv(api, owner, group_by="action")[1][0] == '对话, "甲"'

    @pytest.mark.parametrize(
        ("accept", "mimetype"),
        [
            ("text/csv, application/json;q=0.5", "text/csv"),
            ("application/json, text/csv;q=0.5", "application/json"),
            ("*/*", "application/json"),
            ("text/html", "application/json"),
        ],
    )
    def test_negotiation(self, accept: str, mimetype: str, api: Api, owner: str) -> None:
        """The form that is preferred is given, JSON when nothing is."""
        headers = {"Accept": accept}
        answer = api.get(URL, query_string={"tenant_id": owner}, headers=headers)
        assert answer.mimetype == mimetype

    def test_errors_are_json(self, api: Api) -> None:
        """An error is an error envelope, whatever is accepted."""
        query = {"tenant_id": "tenant_nope"}
        answer = api.get(URL, query_string=query, headers={"Accept": "text/csv"})
        api.error(answer, 404, "TENANT_001")
