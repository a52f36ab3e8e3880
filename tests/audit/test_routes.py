"""/api/v2/audit-logs; what each change leaves is tested with its resource"""

from __future__ import annotations

from typing import Any

import pytest
import time_machine

from maimconfig.audit import service
from maimconfig.db.session import Actor
from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api

URL = "/api/v2/audit-logs"


def actions(api: Api, **query: Any) -> list[str]:
    """The actions that a query finds."""
    names = {"since": "from", "until": "to"}
    given = {names.get(name, name): value for name, value in query.items()}
    return [entry["action"] for entry in api.data(api.get(URL, query_string=given))["items"]]


def record(runtime: Runtime, action: str, resource_id: str, actor: str = "internal") -> None:
    """An entry."""
    runtime.write(
        lambda session: service.record(session, action, resource_id, tenant_id=None, after={}),
        Actor(actor),
    )


def test_newest_first(api: Api) -> None:
    """Changes of all tenants are listed newest first."""
    key = factories.api_key(api)
    api.data(api.put(f"/api/v2/tenants/{key['tenant_id']}", {"description": "x"}))
    assert actions(api) == ["tenant.update", "api_key.create", "agent.create", "tenant.create"]


def test_filters(api: Api) -> None:
    """Filters by tenant, by kind and by id of the object work alone and together."""
    one, two = factories.agent(api), factories.agent(api)
    api.data(api.put(f"/api/v2/agents/{one['id']}", {"description": "x"}))
    assert len(actions(api)) == 5
    mine = ["agent.update", "agent.create", "tenant.create"]
    assert actions(api, tenant_id=one["tenant_id"]) == mine
    assert actions(api, resource="agent") == ["agent.update", "agent.create", "agent.create"]
    assert actions(api, resource=one["id"]) == ["agent.update", "agent.create"]
    assert actions(api, resource="tenant", tenant_id=two["tenant_id"]) == ["tenant.create"]
    assert actions(api, resource=one["id"], tenant_id=two["tenant_id"]) == []
    assert actions(api, resource="key") == actions(api, tenant_id="tenant_nope") == []


def test_actor(api: Api, runtime: Runtime) -> None:
    """A filter by actor finds what that one did."""
    record(runtime, "a.create", "a_1", "cli")
    record(runtime, "user.create", "user_2", "user_1")
    assert actions(api, actor="cli") == ["a.create"]
    assert actions(api, actor="user_1", resource="user") == ["user.create"]
    assert actions(api, actor="CLI") == actions(api, actor="internal") == []


def test_from_and_to(api: Api, runtime: Runtime) -> None:
    """From is included, to is not."""
    for day in ("01", "02", "03"):
        with time_machine.travel(f"2026-11-{day}T00:00:00Z", tick=False):
            record(runtime, f"x.{day}", "x")
    assert actions(api, since="2026-11-02T00:00:00Z") == ["x.03", "x.02"]
    assert actions(api, until="2026-11-02T00:00:00Z") == ["x.01"]
    between = {"since": "2026-11-01T08:00:00+08:00", "until": "2026-11-02T00:00:01Z"}
    assert actions(api, **between) == ["x.02", "x.01"]
    assert actions(api, **between, resource="y") == []


def test_pages(api: Api) -> None:
    """The log comes in pages, of a stable order in one microsecond."""
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False):
        for _ in range(5):
            factories.tenant(api)
    seen = []
    for page in (1, 2, 3):
        found = api.data(api.get(URL, query_string={"page": page, "page_size": 2}))
        seen += [entry["id"] for entry in found["items"]]
    assert len(seen) == len(set(seen)) == found["pagination"]["total"] == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resource", ""),
        ("resource", "x" * 161),
        ("actor", "x" * 51),
        ("from", "yesterday"),
        ("to", "2026-11-01"),
        ("page", "0"),
        ("page_size", "1000"),
    ],
)
def test_wrong_query(name: str, value: str, api: Api) -> None:
    """A wrong parameter is 422 with its name."""
    error = api.error(api.get(URL, query_string={name: value}), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == [name]


def test_in_the_transaction(runtime: Runtime, api: Api) -> None:
    """What is undone leaves no entry."""

    def fails(session: Any) -> None:
        service.record(session, "x.create", "x", tenant_id=None, after={})
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runtime.write(fails)
    assert actions(api) == []


@pytest.mark.parametrize("value", [True, 1.0, "1", [1]])
def test_type_counts(value: Any, api: Api) -> None:
    """A change of the type alone is told."""
    tenant = factories.tenant(api, tenant_config={"a": 1})
    api.data(api.put(f"/api/v2/tenants/{tenant['id']}", {"tenant_config": {"a": value}}))
    entry = factories.audit_entries(api, resource=tenant["id"])[0]
    assert repr(entry["after"]) == repr({"tenant_config": {"a": value}})


def test_nobody_writes_it(api: Api) -> None:
    """The log can only be read."""
    for method in ("POST", "PUT", "DELETE"):
        api.error(api.call(method, URL, json={}), 405, "METHOD_NOT_ALLOWED")
