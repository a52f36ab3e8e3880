"""Who reaches what: every role at every operation, and everybody at what is another's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask

from maimconfig.http.blueprint import Blueprint
from maimconfig.planes import PLANES, Access, Plane, mounts_of
from maimconfig.users.roles import ROLES
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import Person
from tests.factories.webhooks import NOWHERE
from tests.http.operations import webhook_of

ANY_ID = "x_1"


class Operation(NamedTuple):
    """An operation of a plane."""

    method: str
    rule: str
    access: Access

    def path(self, **ids: str) -> str:
        """Its path, with the ids given and any other where none is."""
        parts = self.rule.split("/")
        names = (part.strip("<>").rpartition(":")[2] for part in parts)
        return "/".join(
            ids.get(name, ANY_ID) if part.startswith("<") else part
            for part, name in zip(parts, names, strict=True)
        )


def operations(app: Flask, plane: Plane) -> Iterator[Operation]:
    """The operations of a plane that need a login."""
    mounts = {mount.blueprint().name: mount for mount in mounts_of(plane)}
    for rule in app.url_map.iter_rules():
        blueprint, _, view = rule.endpoint.rpartition(".")
        # Pages are no operations of the API.
        if blueprint in mounts and isinstance(mounts[blueprint].blueprint(), Blueprint):
            access = mounts[blueprint].access_of(view, plane)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                if access.kind == "login":
                    yield Operation(method, rule.rule, access)


@pytest.fixture(params=PLANES)
def plane(request: pytest.FixtureRequest) -> Plane:
    """Each plane."""
    return request.param


@pytest.fixture
def caller(plane: Plane, api: Api, public: Api) -> Api:
    """A caller of this plane."""
    return {"internal": api, "public": public}[plane]


def test_there_are_operations(caller: Api, plane: Plane) -> None:
    """The walk finds all that needs a login, on both planes."""
    found = list(operations(caller.app, plane))
    assert len(found) >= (27 if plane == "internal" else 30)
    assert sum(operation.access.permission is not None for operation in found) == 32


def test_nobody(caller: Api, plane: Plane) -> None:
    """Without a login every operation is 401 AUTH_006, whatever else is sent."""
    for operation in operations(caller.app, plane):
        answer = caller.call(operation.method, operation.path(), json={})
        caller.error(answer, 401, "AUTH_006")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ROLES)
def test_role(role: str, caller: Api, public: Api, plane: Plane) -> None:
    """A role is 403 AUTH_008 just where planes.py asks for a permission that it hasn't."""
    who = users.person(public, role)
    for operation in operations(caller.app, plane):
        if operation.rule.endswith(("/logout", "/logout-all")):
            continue  # they'd end the session; nobody is refused there but nobody
        answer = caller.call(operation.method, operation.path(), json={"x": 1}, headers=who.headers)
        needed = operation.access.permission
        if needed is None or needed in ROLES[role]:
            assert answer.status_code in (200, 204, 404, 422), operation
        else:
            caller.error(answer, 403, "AUTH_008")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ["logout", "logout-all"])
def test_everybody_may_leave(role: str, path: str, public: Api) -> None:
    """Whatever the role, one may end one's own sessions."""
    assert users.person(public, role).post(f"/api/v1/auth/{path}").status_code == 204


def test_a_role_is_asked_first(public: Api) -> None:
    """Who may not ask learns nothing of whether an id or a body would be right."""
    guest, boss = users.person(public, "guest"), users.person(public, "admin")
    for user_id in (boss.id, "user_nope", guest.id):
        for body in ({}, {"role": "admin"}, {"role": 1}):
            answer = guest.put(f"/api/v1/admin/users/{user_id}", body)
            public.error(answer, 403, "AUTH_008")
    assert boss.found(f"/api/v1/admin/users/{guest.id}")["role"] == "guest"


def test_a_role_changes_at_once(public: Api) -> None:
    """A role that is taken away holds no longer than to the next request."""
    boss, other = users.person(public, "admin"), users.person(public, "supervisor")
    assert other.get("/api/v1/admin/users").status_code == 200
    boss.put(f"/api/v1/admin/users/{other.id}", {"role": "user"})
    public.error(other.get("/api/v1/admin/users"), 403, "AUTH_008")


# What each operation that names an object is called with, besides its path.
BODIES: dict[str, Any] = {
    "PUT /api/v1/agents/<id:agent_id>": {"description": "mine now"},
    "POST /api/v1/agents/<id:agent_id>/api_keys": {"name": "k"},
    "POST /api/v1/agents/": {"name": "a"},
    "PUT /api/v1/webhooks/<id:webhook_id>": {"is_active": False},
    "POST /api/v1/webhooks": {"url": NOWHERE},
    "POST /api/v1/plugins/settings": {"plugin_name": "p", "enabled": True, "config": {}},
}


def test_anothers_ids(public: Api, api: Api) -> None:
    """Every operation called with another's ids answers as with unknown ones: same status, code
    and body; and what it names is as it was."""
    alice, bob = users.person(public), users.person(public)
    theirs = objects_of(alice, api)
    unknown = {name: f"{value.partition('_')[0]}_unknown" for name, value in theirs.items()}
    before = everything(alice, api)
    walked = 0
    for operation in operations(public.app, "public"):
        if operation.rule.startswith("/api/v1/admin"):
            continue
        for call in calls(operation):
            found, nothing = (tell(bob, operation.method, call(ids)) for ids in (theirs, unknown))
            assert found == nothing, operation
            assert found[0] == 404, operation
            walked += 1
    assert walked >= 11
    assert everything(alice, api) == before


def objects_of(who: Person, api: Api) -> dict[str, str]:
    """The ids of somebody's objects, by the names that operations give them."""
    agent = who.made("/api/v1/agents/", {"name": "a"})
    key = who.made(f"/api/v1/agents/{agent['id']}/api_keys", {"name": "k"})
    return {
        "agent_id": agent["id"],
        "key_id": key["id"],
        "tenant_id": agent["tenant_id"],
        **webhook_of(api, agent["tenant_id"]),
        "template_id": factories.template(api, tenant_id=agent["tenant_id"])["id"],
    }


Call = Callable[[dict[str, str]], dict[str, Any]]


def calls(operation: Operation) -> Iterator[Call]:
    """The ways in which an operation names an object: in its path, its query, its body."""
    where = f"{operation.method} {operation.rule}"
    body = BODIES.get(where, {})
    if "<" in operation.rule:
        yield lambda ids: {"path": operation.path(**ids), "json": body}
    elif operation.rule.startswith("/api/v1/plugins"):
        yield lambda ids: {
            "path": operation.rule,
            "json": body,
            "query_string": {"agent_id": ids["agent_id"], "plugin_name": "p"},
        }
    elif where == "POST /api/v1/webhooks":
        yield lambda ids: {
            "path": operation.rule,
            "json": {**body, "tenant_id": ids["tenant_id"]},
        }
    elif where == "POST /api/v1/agents/":
        for name in ("tenant_id", "template_id"):
            yield lambda ids, name=name: {
                "path": operation.rule,
                "json": {**body, name: ids[name]},
            }


def tell(who: Person, method: str, call: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What an answer tells: all but the moment and the request's id."""
    answer = who.call(method, **call)
    body = answer.get_json()
    return answer.status_code, {k: body[k] for k in body.keys() - {"timestamp", "request_id"}}


def everything(who: Person, api: Api) -> list[Any]:
    """All that somebody has, and how many changes were made by anybody."""
    (agent,) = who.found("/api/v1/agents/")
    keys = who.found(f"/api/v1/agents/{agent['id']}/api_keys")
    settings = who.found("/api/v1/plugins/settings", query_string={"agent_id": agent["id"]})
    hooks = who.found("/api/v1/webhooks")
    return [agent, keys, settings, hooks, len(factories.audit_entries(api))]
