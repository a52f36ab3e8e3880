"""How many statements a request costs, whatever there is in the database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from maimconfig.agents import config_service
from maimconfig.agents import service as agents
from maimconfig.api_keys import service as api_keys
from maimconfig.conversations import intake
from maimconfig.db.session import Session
from maimconfig.plugins import service as plugins
from maimconfig.runtime import Runtime
from maimconfig.templates import service as templates
from maimconfig.tenants import service as tenants
from maimconfig.usage import service as usage
from maimconfig.webhooks import service
from tests import factories
from tests.api import Api
from tests.conversations.conftest import nobody_answers  # noqa: F401
from tests.factories import conversations, users
from tests.factories.webhooks import webhook

VALIDATE = "/api/v2/auth/validate-api-key"
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@contextmanager
def counted(runtime: Runtime) -> Iterator[list[str]]:
    """The statements that this thread sends to the database.

    They are listened to below SQLAlchemy, since the hot path goes past its execution layer.
    """
    sent: list[str] = []
    mine = threading.get_ident()

    def note(statement: Any) -> None:
        text = statement if isinstance(statement, str) else bytes(statement).decode()
        if threading.get_ident() == mine and not text.startswith(CONTROL):
            sent.append(text)

    def listen(connection: Any, *_: Any) -> None:
        if runtime.database.is_sqlite:
            connection.set_trace_callback(note)
            return
        original = type(connection).query.__get__(connection)
        connection.query = lambda sql, *rest: (note(sql), original(sql, *rest))[1]

    def leave(connection: Any, *_: Any) -> None:
        if runtime.database.is_sqlite:
            connection.set_trace_callback(None)
        else:
            connection.__dict__.pop("query", None)

    engines = (runtime.database.reader, runtime.database.writer)
    runtime.database.kept.close()  # so that a look-up checks a connection out
    for engine in engines:
        event.listen(engine, "checkout", listen)
        event.listen(engine, "checkin", leave)
    try:
        yield sent
    finally:
        runtime.database.kept.close()
        for engine in engines:
            event.remove(engine, "checkout", listen)
            event.remove(engine, "checkin", leave)


@pytest.fixture
def cost(api: Api, runtime: Runtime) -> Callable[..., list[str]]:
    """Makes a call that succeeds, and gives the statements that it took."""

    def measure(method: str, path: str, **options: Any) -> list[str]:
        api.call(method, path, **options)  # whatever is done once is done
        with counted(runtime) as sent:
            answer = api.client.open(path, method=method, **options)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return sent

    return measure


def test_listening(api: Api, runtime: Runtime) -> None:
    """What is counted is what is sent: a change of a tenant reads, writes and is recorded."""
    path = f"/api/v2/tenants/{factories.tenant(api)['id']}"
    with counted(runtime) as sent:
        api.client.put(path, json={"description": "x"})
    assert [statement.split()[0] for statement in sent] == ["SELECT", "UPDATE", "INSERT"]


@pytest.mark.parametrize("permissions", [["chat"], ["support"], ["*"], []])
def test_key_checks(
    permissions: list[str], api: Api, runtime: Runtime, cost: Callable[..., list[str]]
) -> None:
    """A check of a key without a rate limit is one statement."""
    key = factories.api_key(api, permissions=permissions)
    groups = {"groups": {"support": ["chat"]}}
    api.data(api.put(f"/api/v2/tenants/{key['tenant_id']}/permission-groups", groups))
    body = {"api_key": key["api_key"], "required_permission": "chat"}
    assert len(cost("POST", VALIDATE, json=body)) == 1
    assert len(cost("POST", VALIDATE, json={**body, "check_rate_limit": False})) == 1
    body = {"api_key": key["api_key"], "permission": "chat"}
    assert len(cost("POST", "/api/v2/auth/check-permission", json=body)) == 1


def test_rate_limit(api: Api, cost: Callable[..., list[str]]) -> None:
    """A rate limit costs two statements more: one that judges, one that tells what is left."""
    key = factories.api_key(api, rate_limit={"limit": 100, "window_seconds": 3600})
    assert len(cost("POST", VALIDATE, json={"api_key": key["api_key"]})) == 3


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v2/auth/parse-api-key", {"api_key": "mmc_tenant_1_agent_1_0_v1"}),
        ("GET", "/api/v2/system/models", None),
        ("GET", "/api/v2/system/providers", None),
        ("GET", "/api/v2/system/bot-defaults", None),
        ("GET", "/health/live", None),
        ("GET", "/info", None),
    ],
)
def test_none(method: str, path: str, body: Any, cost: Callable[..., list[str]]) -> None:
    """What needs no database asks it nothing."""
    assert cost(method, path, json=body) == []


def test_chat(api: Api, cost: Callable[..., list[str]]) -> None:
    """What a chat costs doesn't grow with what was said before."""
    agent = factories.agent(api)
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "message": "x"}
    taken = []
    for _ in range(3):
        taken.append(len(cost("POST", "/api/v2/chat", json={**body, "user_id": "u"})))
        for _ in range(5):
            factories.chat(api, agent, user_id="u")
    assert taken[0] == taken[1] == taken[2] <= 19


def test_one_object(api: Api, cost: Callable[..., list[str]]) -> None:
    """One object is one statement; what stands on another object is one more."""
    template = factories.template(api, config=factories.sample_agent()["config"])
    agent = factories.agent(api, **factories.sample_agent(), template_id=template["id"])
    key = factories.api_key(api, agent)
    tenant = f"/api/v2/tenants/{agent['tenant_id']}"
    path = f"/api/v2/agents/{agent['id']}"
    expected = {
        tenant: 1,
        f"{tenant}/permission-groups": 1,
        path: 1,
        f"{path}/config": 1,
        f"/api/v2/agent-templates/{template['id']}": 1,
        f"/api/v2/api-keys/{key['id']}": 1,
        f"{path}/config/effective": 2,
        f"{path}/config/effective?explain=1": 2,
        f"{path}/config/versions/1": 2,
    }
    assert {where: len(cost("GET", where)) for where in expected} == expected


def fill(session: Session, tenant_id: str, agent_id: str, number: int) -> None:
    """Give a tenant so many of everything, and the system so many tenants."""
    for index in range(number):
        name = f"n{index}"
        tenants.create(session, tenant_name=name, tenant_type="personal")
        agents.create(session, tenant_id=tenant_id, name=name, tags=["t"], config={"a": index})
        api_keys.create(session, tenant_id=tenant_id, agent_id=agent_id, name=name)
        templates.create(session, tenant_id=tenant_id, name=name, config={}, category="c")
        config_service.update(session, agent_id, {"a": index})
        setting = {"plugin_name": name, "enabled": True, "config": {"a": index}}
        plugins.store(session, tenant_id=tenant_id, agent_id=None, **setting)
        plugins.store(session, tenant_id=tenant_id, agent_id=agent_id, **setting)
        usage.log(session, action=name, tenant_id=tenant_id, agent_id=agent_id)


@pytest.mark.parametrize("number", [0, 1, 100])
def test_lists(number: int, api: Api, runtime: Runtime, cost: Callable[..., list[str]]) -> None:
    """A list is at most three statements, whether it has nothing, one or a hundred objects."""
    agent = factories.agent(api)
    owner = agent["tenant_id"]
    runtime.write(lambda session: fill(session, owner, agent["id"], number))
    of, size = f"tenant_id={owner}", "page_size=100"
    lists = [
        f"/api/v2/tenants?{size}",
        f"/api/v2/tenants?{size}&q=n&status=active",
        f"/api/v2/agents?{of}&{size}",
        f"/api/v2/agents?{of}&{size}&tag=t&q=n&status=active",
        f"/api/v2/agents/{agent['id']}/config/versions?{size}",
        f"/api/v2/agent-templates?{size}",
        f"/api/v2/agent-templates?{of}&{size}&category=c",
        f"/api/v2/api-keys?{of}&{size}",
        f"/api/v2/api-keys?{of}&{size}&status=active&agent_id={agent['id']}",
        f"/api/v2/agent-activity?{of}",
        f"/api/v1/plugins/settings?{of}",
        f"/api/v1/plugins/settings?{of}&agent_id={agent['id']}",
        f"/api/v2/webhooks?{of}&{size}",
        f"/api/v2/usage?{of}&group_by=action",
        f"/api/v2/usage?{of}&group_by=user",
        f"/api/v2/tenants/{owner}/billing",
        f"/api/v2/audit-logs?{size}",
        f"/api/v2/audit-logs?{of}&{size}&resource=agent",
    ]
    taken = {path: len(cost("GET", path)) for path in lists}
    assert {path: count for path, count in taken.items() if not 1 <= count <= 3} == {}


@pytest.mark.usefixtures("nobody_answers")
@pytest.mark.parametrize("number", [1, 30])
def test_messages(number: int, runtime: Runtime) -> None:
    """Many messages of many conversations are stored with the statements that one takes, but for
    those that say what each conversation is now."""
    of = conversations.agent(runtime)
    talks = conversations.talks(runtime, of, number)
    messages = [talk.incoming("x", client_id="c") for talk in talks]
    with counted(runtime) as sent:
        runtime.write(lambda session: intake.store_many(session, messages))
    kinds = Counter(
        statement.split()[0] for statement in sent if not statement.startswith("UPDATE conv")
    )
    # One of them asks which webhooks listen. The tenant is held on MySQL alone; a driver may send
    # an INSERT of many rows one by one.
    assert kinds["SELECT"] == (4 if runtime.database.is_sqlite else 5)
    assert kinds["UPDATE"] == 1
    assert {"INSERT", "SELECT", "UPDATE"} == set(kinds)


@pytest.mark.parametrize("number", [0, 1, 20])
def test_staff_lists(number: int, api: Api, public: Api, runtime: Runtime) -> None:
    """What staff look at is at most three statements besides the one that knows the login."""
    boss = users.person(public, "admin")
    (tenant_id, agent_id) = of = conversations.agent(runtime)
    for index in range(number):
        conversations.talk(runtime, of, user_id=f"u{index}")
        users.quick(runtime, "agent")
    hook = webhook(api, tenant_id=tenant_id)
    events = [service.Event(tenant_id, "message.created", {})] * number
    runtime.write(lambda session: service.emit_many(session, events))
    staff = f"tenant_id={tenant_id}&agent_id={agent_id}&limit=100"
    lists = {
        f"/api/v1/admin/conversations?{staff}": 3,
        f"/api/v1/admin/conversations?{staff}&q=u&assignee_id=none&status=open": 3,
        f"/api/v1/admin/contacts?tenant_id={tenant_id}&q=u": 3,
        f"/api/v1/admin/analytics/conversations?tenant_id={tenant_id}": 3,
        "/api/v1/admin/users?page_size=100": 3,
    }
    for path, most in lists.items():
        with counted(runtime) as sent:
            answer = public.client.get(path, headers=boss.headers)
        assert answer.status_code == 200
        assert 2 <= len(sent) <= most + 1, (path, sent)
    with counted(runtime) as sent:
        api.client.get(f"/api/v2/webhooks/{hook['id']}/deliveries?page_size=100")
    assert len(sent) == 3
