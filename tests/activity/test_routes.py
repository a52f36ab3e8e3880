"""/api/v2/agent-activity"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from tests import factories
from tests.api import Api
from tests.parallel import at_once, codes, delete, put, statuses

URL = "/api/v2/agent-activity"
NOW = "2036-11-23T08:00:00Z"


def beat(api: Api, agent: dict[str, Any], **body: Any) -> Any:
    """The answer to a heart-beat."""
    of = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "ttl_seconds": 60}
    return api.put(URL, {**of, **body})


def alive(api: Api, tenant_id: str) -> list[str]:
    """The agents of a tenant that are alive."""
    found = api.data(api.get(URL, query_string={"tenant_id": tenant_id}))
    assert found["count"] == len(found["items"])
    return [item["agent_id"] for item in found["items"]]


@time_machine.travel(NOW, tick=False)
def test_beat(api: Api) -> None:
    """A heart-beat is answered with when it came and until when it counts, and listed so."""
    agent = factories.agent(api)
    answer = api.data(beat(api, agent, ttl_seconds=90))
    assert answer == {
        "tenant_id": agent["tenant_id"],
        "agent_id": agent["id"],
        "last_seen_at": NOW,
        "expires_at": "2036-11-23T08:01:30Z",
        "ttl_seconds": 90,
    }
    listed = api.data(api.get(URL, query_string={"tenant_id": agent["tenant_id"]}))
    assert listed == {"items": [answer], "count": 1}


def test_expiry(api: Api) -> None:
    """A heart-beat counts for its seconds, and not a moment longer; another prolongs it."""
    with time_machine.travel(NOW, tick=False) as clock:
        agent = factories.agent(api)
        owner = agent["tenant_id"]
        api.data(beat(api, agent))
        clock.shift(59.999999)
        assert alive(api, owner) == [agent["id"]]
        api.data(beat(api, agent))
        clock.shift(30)
        assert alive(api, owner) == [agent["id"]]
        clock.shift(30)
        assert alive(api, owner) == []


@time_machine.travel(NOW, tick=False)
def test_shorter(api: Api) -> None:
    """The last heart-beat counts, also when it is shorter than the one before."""
    agent = factories.agent(api)
    api.data(beat(api, agent, ttl_seconds=1))
    with time_machine.travel("2036-11-23T08:00:01Z", tick=False):
        assert alive(api, agent["tenant_id"]) == []


def test_latest_first(api: Api) -> None:
    """The agent that was seen last is listed first; other tenants' aren't listed."""
    owner = factories.tenant(api)["id"]
    factories.agent(api)
    one, two = factories.agent(api, owner), factories.agent(api, owner)
    assert alive(api, owner) == [two["id"], one["id"]]
    api.data(beat(api, one))
    assert alive(api, owner) == [one["id"], two["id"]]


def test_none(api: Api) -> None:
    """A tenant without agents has an empty list; an unknown one is 404 ACTIVITY_002."""
    assert alive(api, factories.tenant(api)["id"]) == []
    api.error(api.get(URL, query_string={"tenant_id": "tenant_nope"}), 404, "ACTIVITY_002")
    assert list(api.error(api.get(URL), 422, "VALIDATION_ERROR")["details"]) == ["tenant_id"]


@pytest.mark.parametrize("field", ["tenant_id", "agent_id", "ttl_seconds"])
@pytest.mark.parametrize("missing", [True, False])
def test_required_fields(field: str, missing: bool, api: Api) -> None:
    """All three fields are required, and not null."""
    body: dict[str, Any] = {"tenant_id": "t", "agent_id": "a", "ttl_seconds": 1, field: None}
    if missing:
        del body[field]
    error = api.error(api.put(URL, body), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [field]


@pytest.mark.parametrize("ttl", [0, -1, 1.5, "60", True, 366 * 86400 + 1, 2**63])
def test_wrong_ttl(ttl: Any, api: Api) -> None:
    """ttl_seconds is a whole number from 1 to a year's."""
    agent = factories.agent(api)
    error = api.error(beat(api, agent, ttl_seconds=ttl), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == ["ttl_seconds"]


@pytest.mark.parametrize("case", ["tenant", "agent", "foreign"])
def test_unknown(case: str, api: Api) -> None:
    """An unknown tenant or agent, or another tenant's agent, is 404 ACTIVITY_002."""
    agent = factories.agent(api)
    wrong = {
        "tenant": {"tenant_id": "tenant_nope"},
        "agent": {"agent_id": "agent_nope"},
        "foreign": {"agent_id": factories.agent(api)["id"]},
    }[case]
    api.error(beat(api, agent, **wrong), 404, "ACTIVITY_002")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("tenants", "inactive"),
        ("tenants", "suspended"),
        ("agents", "inactive"),
        ("agents", "archived"),
    ],
)
def test_inactive(kind: str, status: str, api: Api) -> None:
    """A tenant or an agent that isn't active is 403 ACTIVITY_002."""
    agent = factories.agent(api)
    which = agent["tenant_id"] if kind == "tenants" else agent["id"]
    api.data(api.put(f"/api/v2/{kind}/{which}", {"status": status}))
    api.error(beat(api, agent), 403, "ACTIVITY_002")
    listed = api.get(URL, query_string={"tenant_id": agent["tenant_id"]})
    if kind == "tenants":
        api.error(listed, 403, "ACTIVITY_002")
    else:
        api.data(listed)


def test_not_audited(api: Api) -> None:
    """A heart-beat is no change: it leaves no entry in the audit log."""
    agent = factories.agent(api)
    before = len(factories.audit_entries(api))
    api.data(beat(api, agent))
    assert len(factories.audit_entries(api)) == before


@pytest.mark.parametrize("what", ["agents", "tenants"])
def test_deleted_meanwhile(what: str, api: Api) -> None:
    """While an agent or its tenant is deleted its heart-beats succeed or find it gone."""
    agent = factories.agent(api)
    owner = agent["tenant_id"]
    body = {"tenant_id": owner, "agent_id": agent["id"], "ttl_seconds": 60}
    calls = [put(URL, body)] * 40
    path = agent["id"] if what == "agents" else owner
    calls.insert(10, delete(f"/api/v2/{what}/{path}"))
    answers = at_once(api, calls, threads=10)
    assert answers[10].status_code == 200
    assert set(statuses(answers)) <= {200, 404}
    assert codes(answers) <= {"ACTIVITY_002"}
    api.error(beat(api, agent), 404, "ACTIVITY_002")


def test_at_once(api: Api) -> None:
    """Heart-beats of one agent at the same time all succeed, and are one."""
    agent = factories.agent(api)
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "ttl_seconds": 60}
    assert statuses(at_once(api, [put(URL, body)] * 30, threads=10)) == {200: 30}
    assert alive(api, agent["tenant_id"]) == [agent["id"]]
