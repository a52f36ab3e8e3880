"""/api/v1/usage/log"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api

URL = "/api/v1/usage/log"
NOW = "2026-11-23T08:00:00Z"
DETAILS = {
    "model": "qwen-turbo",
    "api_key_id": "key_1",
    "prompt_tokens": 120,
    "completion_tokens": 40,
    "cost": 0.00042,
    "status": "ok",
    "free": {"嵌": [1, 1.0, None, True]},
}


def totals(api: Api, tenant_id: str) -> dict[str, Any]:
    """A tenant's sums."""
    answer = api.get("/api/v2/usage", query_string={"tenant_id": tenant_id})
    return api.data(answer)["totals"]


@time_machine.travel(NOW, tick=False)
def test_all_fields(api: Api) -> None:
    """An entry is answered with everything that was sent, in the envelope."""
    agent = factories.agent(api)
    body = {
        "action": "chat",
        "tenant_id": agent["tenant_id"],
        "agent_id": agent["id"],
        "user_id": "user_1",
        "details": DETAILS,
        "timestamp": "2026-11-01T10:00:00.5+08:00",
    }
    answer = api.post(URL, body)
    made = api.data(answer)
    assert made == {**body, "id": made["id"], "timestamp": "2026-11-01T02:00:00.500000Z"}
    assert answer.get_json()["tenant_id"] == agent["tenant_id"]


@pytest.mark.parametrize(
    "null", [{}, dict.fromkeys(("tenant_id", "agent_id", "user_id", "details", "timestamp"))]
)
@time_machine.travel(NOW, tick=False)
def test_optional_fields(null: dict[str, None], api: Api) -> None:
    """All but the action may be omitted or null; the time is now then."""
    made = api.data(api.post(URL, {"action": "start", **null}))
    assert made == {
        "id": made["id"],
        "action": "start",
        "tenant_id": None,
        "agent_id": None,
        "user_id": None,
        "details": {},
        "timestamp": NOW,
    }


def test_tenant_of_the_agent(api: Api) -> None:
    """An entry that names only an agent is its tenant's."""
    agent = factories.agent(api)
    made = factories.usage(api, agent_id=agent["id"])
    assert made["tenant_id"] == agent["tenant_id"]
    assert totals(api, agent["tenant_id"])["requests"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", None),
        ("action", ""),
        ("action", "x" * 101),
        ("user_id", ""),
        ("user_id", "x" * 101),
        ("user_id", 5),
        ("details", []),
        ("timestamp", "2026-11-01T10:00:00"),
        ("timestamp", 1764000000),
        ("details", "x"),
        ("time", NOW),
    ],
)
def test_wrong_fields(field: str, value: Any, api: Api) -> None:
    """A wrong or unknown field is 422 with its name."""
    error = api.error(api.post(URL, {"action": "chat", field: value}), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]
    assert error["detail"] == error["message"]


def test_action_is_required(api: Api) -> None:
    """Without an action it is 422."""
    assert list(api.error(api.post(URL, {}), 422, "VALIDATION_ERROR")["details"]) == ["action"]


@pytest.mark.parametrize(
    ("case", "code"),
    [("tenant", "TENANT_001"), ("agent", "AGENT_001"), ("foreign", "AGENT_001")],
)
def test_unknown(case: str, code: str, api: Api) -> None:
    """An unknown tenant is TENANT_001, an unknown or another tenant's agent AGENT_001."""
    agent = factories.agent(api)
    scope = {
        "tenant": {"tenant_id": "tenant_nope"},
        "agent": {"agent_id": "agent_nope"},
        "foreign": {"tenant_id": factories.tenant(api)["id"], "agent_id": agent["id"]},
    }[case]
    api.error(api.post(URL, {"action": "chat", **scope}), 404, code)


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"]
)
def test_far_times(at: str, api: Api) -> None:
    """Any time of the calendar is kept, and reported by its day."""
    owner = factories.tenant(api)["id"]
    made = factories.usage(api, owner, timestamp=at)
    assert made["timestamp"] == at
    query = {"tenant_id": owner, "group_by": "day"}
    (row,) = api.data(api.get("/api/v2/usage", query_string=query))["items"]
    assert row["group"] == at[:10]


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4, "0", 0)),
        ({"tokens_in": 3, "tokens_out": 4}, (3, 4, "0", 0)),
        ({"prompt_tokens": "3", "completion_tokens": -1}, (0, 0, "0", 0)),
        ({"prompt_tokens": 2.5, "completion_tokens": True}, (0, 0, "0", 0)),
        ({"prompt_tokens": 2**53}, (2**53, 0, "0", 0)),
        ({"prompt_tokens": 2**53 + 1}, (0, 0, "0", 0)),
        ({"cost": 1}, (0, 0, "1", 0)),
        ({"cost": 0.1}, (0, 0, "0.1", 0)),
        ({"cost": 1e-7}, (0, 0, "0.0000001", 0)),
        ({"cost": "0.000000001"}, (0, 0, "0.000000001", 0)),
        ({"cost": 1e-10}, (0, 0, "0", 0)),
        ({"cost": 10**9}, (0, 0, "1000000000", 0)),
        ({"cost": 10**9 + 1}, (0, 0, "0", 0)),
        ({"cost": 1e300}, (0, 0, "0", 0)),
        ({"cost": -0.1}, (0, 0, "0", 0)),
        ({"cost": "much"}, (0, 0, "0", 0)),
        ({"cost": "1e999999999"}, (0, 0, "0", 0)),
        ({"cost": True}, (0, 0, "0", 0)),
        ({"cost": None}, (0, 0, "0", 0)),
        ({"status": "error"}, (0, 0, "0", 1)),
        ({"status": "failed"}, (0, 0, "0", 1)),
        ({"success": False}, (0, 0, "0", 1)),
        ({"success": 0}, (0, 0, "0", 0)),
        ({"status": "ok"}, (0, 0, "0", 0)),
        ({"status": ["error"]}, (0, 0, "0", 0)),
        ({"model": 5, "api_key_id": {}}, (0, 0, "0", 0)),
        ({"model": "x" * 101, "api_key_id": "x" * 51}, (0, 0, "0", 0)),
    ],
)
def test_what_counts(details: Any, expected: tuple[Any, ...], api: Api) -> None:
    """Of the details tokens, cost and errors count when they are what they must be; all of them
    are kept to the letter."""
    owner = factories.tenant(api)["id"]
    assert factories.usage(api, owner, details=details)["details"] == details
    found = totals(api, owner)
    counted = tuple(found[name] for name in ("tokens_in", "tokens_out", "cost", "errors"))
    assert (counted, found["requests"]) == (expected, 1)


def test_not_audited(api: Api) -> None:
    """An entry of the usage log is no change: it leaves none in the audit log."""
    owner = factories.tenant(api)["id"]
    factories.usage(api, owner)
    assert [entry["action"] for entry in factories.audit_entries(api)] == ["tenant.create"]
