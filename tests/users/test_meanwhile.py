"""What changes while a request is under way: nobody gets more than is theirs by its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from maimconfig.http import access
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users import service, sessions
from maimconfig.users.models import LoginSession
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, PASSWORD, Person
from tests.http.operations import OPERATIONS, User
from tests.parallel import at_once, delete, post, put, statuses

OTHER = "another password"
Change = Callable[[Any, str], Any]

CHANGES: dict[str, Change] = {
    "suspended": lambda unit, user_id: service.change(unit, user_id, {"status": "suspended"}),
    "password changed": lambda unit, user_id: service.set_password(
        unit, user_id, passwords.hash_password(OTHER)
    ),
    "deleted": service.remove,
}


@pytest.fixture
def alice(public: Api) -> Person:
    """Somebody who is logged in."""
    return users.person(public, username="alice")


@pytest.fixture
def while_verified(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime, alice: Person
) -> Callable[[Change], None]:
    """Makes a change of alice happen just after her password was found right."""
    true = passwords.verify_password

    def arrange(change: Change) -> None:
        def verify(password: str, stored: str | None) -> bool:
            right = true(password, stored)
            monkeypatch.setattr(passwords, "verify_password", true)
            runtime.write(lambda unit: change(unit, alice.id))
            return right

        monkeypatch.setattr(passwords, "verify_password", verify)

    return arrange


def session_count(runtime: Runtime) -> int:
    """How many login sessions there are, living or not."""
    return runtime.read(
        lambda unit: unit.scalar(select(func.count()).select_from(LoginSession)) or 0
    )


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_login(
    change: Change, while_verified: Callable[[Change], None], public: Api, runtime: Runtime
) -> None:
    """A user who is changed while the password is verified gets no session for it."""
    while_verified(change)
    before = session_count(runtime)
    answer = public.post(f"{AUTH}/login", {"username": "alice", "password": PASSWORD})
    public.error(answer, 401, "AUTH_007")
    assert session_count(runtime) <= before


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_password(
    change: Change, while_verified: Callable[[Change], None], public: Api, alice: Person
) -> None:
    """Nor does such a user change the password, over that of an administrator for example."""
    while_verified(change)
    body = {"old_password": PASSWORD, "new_password": "a third password"}
    public.error(alice.post(f"{AUTH}/change-password", body), 401, "AUTH_006")
    answer = public.post(f"{AUTH}/login", {"username": "alice", "password": "a third password"})
    public.error(answer, 401, "AUTH_007")


def test_change_password_after_another(
    while_verified: Callable[[Change], None], public: Api, alice: Person
) -> None:
    """Of two changes from one session at once the later finds the old password wrong."""
    session_id = next(s["id"] for s in alice.found(f"{AUTH}/sessions") if s["current"])
    fresh = passwords.hash_password(OTHER)
    while_verified(
        lambda unit, user_id: service.set_password(unit, user_id, fresh, keep_session=session_id)
    )
    body = {"old_password": PASSWORD, "new_password": "a third password"}
    public.error(alice.post(f"{AUTH}/change-password", body), 401, "AUTH_007")
    assert users.log_in(public, "alice", OTHER).is_logged_in()


OF_USERS = {key: right for key, right in OPERATIONS.items() if issubclass(right.caller, User)}


@pytest.mark.parametrize("change", ["deleted", "logged out"])
@pytest.mark.parametrize(("method", "path"), OF_USERS, ids=lambda part: part)
def test_after_the_token(
    change: str,
    method: str,
    path: str,
    api: Api,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is gone when the token has just been found good gets an answer that is documented."""
    right = OF_USERS[method, path]
    world = right.caller(api)
    true = access.note_login

    def note(login: Any) -> None:
        true(login)
        end = service.remove if change == "deleted" else sessions.end_all
        if change == "deleted":
            users.quick(runtime, "admin")  # the last one must stay
        runtime.write(lambda unit: end(unit, login.user_id) and None)

    monkeypatch.setattr(access, "note_login", note)
    answer = api.call(
        method.upper(),
        path.format(**world.ids),
        json=right.body(world) if right.body else None,
        query_string=right.query(world),
        headers=world.headers,
    )
    assert answer.status_code < 500


@pytest.mark.parametrize("turn", range(8))
def test_agent_is_deleted(turn: int, public: Api) -> None:
    """What is given to an agent that is being deleted is either there before, or 404."""
    alice = users.person(public)
    agent = alice.made("/api/v1/agents/", {"name": "own"})
    path = f"/api/v1/agents/{agent['id']}"
    of = {"headers": alice.headers, "query_string": {"agent_id": agent["id"]}}
    own = {"headers": alice.headers}
    calls = [
        *[post("/api/v1/plugins/settings", {"plugin_name": f"p{n}", "enabled": True}, **of)
          for n in range(4)],
        *[post(f"{path}/api_keys", {"name": f"k{n}"}, **own) for n in range(4)],
        *[put(path, {"description": str(n)}, **own) for n in range(2)],
        delete(f"/api/v1/plugins/settings?agent_id={agent['id']}&plugin_name=p0", **own),
        delete(path, **own),
    ]  # fmt: skip
    calls = calls[turn:] + calls[:turn]
    found = statuses(at_once(public, calls))
    assert set(found) <= {200, 204, 404}, found
    assert alice.found("/api/v1/agents/") == []
