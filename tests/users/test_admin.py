"""/api/v1/admin: users, permissions, analytics"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import time_machine

from maimconfig.runtime import Runtime
from maimconfig.users.models import User
from maimconfig.users.roles import PERMISSIONS
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import PASSWORD, Person
from tests.parallel import at_once, codes, post, put, statuses

URL = "/api/v1/admin/users"
ANALYTICS = "/api/v1/admin/analytics"


@pytest.fixture
def boss(public: Api) -> Person:
    """An administrator."""
    return users.person(public, "admin", username="boss", email="boss@example.com")


def names(who: Person, **query: Any) -> list[str]:
    """The usernames that a list shows."""
    return [user["username"] for user in who.found(URL, query_string=query)]


class TestList:
    def test_pages(self, boss: Person, runtime: Runtime) -> None:
        """Users are listed newest first, in pages; X-Total-Count says how many there are."""
        for name in "abc":
            users.quick(runtime, username=name)
        assert names(boss) == ["c", "b", "a", "boss"]
        answer = boss.get(URL, query_string={"page": 2, "size": 3})
        assert [user["username"] for user in answer.get_json()] == ["boss"]
        assert answer.headers["X-Total-Count"] == "4"

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"role": "agent"}, ["Bob"]),
            ({"role": "guest"}, []),
            ({"status": "suspended"}, ["alice"]),
            ({"q": "ＢＯ"}, ["Bob", "boss"]),
            ({"q": "boss@"}, ["boss"]),
            ({"q": "%"}, []),
            ({"q": "bo", "role": "agent", "status": "active"}, ["Bob"]),
        ],
    )
    def test_filters(
        self, query: dict[str, str], found: list[str], boss: Person, runtime: Runtime
    ) -> None:
        """Filters work alone and together, and a search takes its text literally."""
        alice = users.quick(runtime, username="alice")
        boss.made(f"{URL}/{alice}/status", {"status": "suspended"})
        users.quick(runtime, "agent", username="Bob")
        answer = boss.get(URL, query_string=query)
        assert [user["username"] for user in answer.get_json()] == found
        assert answer.headers["X-Total-Count"] == str(len(found))

    @pytest.mark.parametrize("query", [{"role": "x"}, {"status": "x"}, {"q": "x" * 101}])
    def test_wrong_query(self, query: dict[str, str], boss: Person, public: Api) -> None:
        """A wrong query parameter is 422 with its name."""
        answer = boss.get(URL, query_string=query)
        error = public.error(answer, 422, "VALIDATION_ERROR")
        assert list(error["details"]) == list(query)


class TestUsers:
    def test_create(self, boss: Person, public: Api) -> None:
        """An administrator makes a user with a role, who can log in and owns a tenant."""
        body = {"username": "sue", "password": PASSWORD, "role": "supervisor"}
        made = boss.made(URL, body)
        assert (made["role"], made["status"]) == ("supervisor", "active")
        sue = users.log_in(public, "sue")
        (tenant,) = sue.found("/api/v1/tenants/")
        assert tenant["owner_id"] == made["id"]
        public.error(boss.post(URL, {**body, "username": "SUE"}), 409, "USER_002")

    def test_change(self, boss: Person, public: Api, runtime: Runtime) -> None:
        """A change is shown by the next read; null empties what may be empty."""
        url = f"{URL}/{users.quick(runtime, email='a@example.com')}"
        changed = users.plain(boss.put(url, {"full_name": "小明", "role": "agent", "email": None}))
        assert (changed["full_name"], changed["role"], changed["email"]) == ("小明", "agent", None)
        assert boss.found(url) == changed
        taken = boss.put(url, {"email": "BOSS@example.com"})
        public.error(taken, 409, "USER_002")
        assert users.plain(boss.put(url, {"is_active": False}))["status"] == "suspended"

    def test_etag(self, boss: Person, public: Api, runtime: Runtime) -> None:
        """A lost update is refused."""
        url = f"{URL}/{users.quick(runtime)}"
        stale = {"If-Match": boss.get(url).headers["ETag"]}
        assert boss.put(url, {"full_name": "1"}, headers=stale).status_code == 200
        public.error(boss.put(url, {"full_name": "2"}, headers=stale), 412, "PRECONDITION_001")
        public.error(boss.delete(url, headers=stale), 412, "PRECONDITION_001")

    def test_reset_password(self, boss: Person, public: Api) -> None:
        """A reset shows the new password once, and ends all sessions of the user."""
        alice = users.person(public, username="alice")
        answer = boss.post(f"{URL}/{alice.id}/reset-password", {})
        assert answer.headers["Cache-Control"] == "no-store"
        assert not alice.is_logged_in()
        password = users.plain(answer)["password"]
        assert users.log_in(public, "alice", password).id == alice.id
        chosen = {"new_password": "chosen by the boss"}
        boss.made(f"{URL}/{alice.id}/reset-password", chosen)
        assert users.log_in(public, "alice", "chosen by the boss").id == alice.id

    def test_delete(self, boss: Person, public: Api, api: Api) -> None:
        """A deletion is 204, takes the sessions along and leaves the tenants."""
        alice = users.person(public)
        (tenant,) = alice.found("/api/v1/tenants/")
        answer = boss.delete(f"{URL}/{alice.id}")
        assert (answer.status_code, answer.data) == (204, b"")
        assert not alice.is_logged_in()
        public.error(boss.delete(f"{URL}/{alice.id}"), 404, "USER_001")
        assert api.data(api.get(f"/api/v2/tenants/{tenant['id']}")) == tenant

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PUT", "", {}),
            ("DELETE", "", None),
            ("POST", "/status", {"status": "active"}),
            ("POST", "/reset-password", {}),
        ],
    )
    def test_unknown(self, method: str, path: str, body: Any, boss: Person, public: Api) -> None:
        """An unknown user is 404 USER_001."""
        public.error(boss.call(method, f"{URL}/user_nope{path}", body), 404, "USER_001")

    def test_audit(self, boss: Person, api: Api, runtime: Runtime) -> None:
        """The audit log keeps who changed whom."""
        user_id = users.quick(runtime)
        boss.put(f"{URL}/{user_id}", {"role": "agent"})
        entry = factories.audit_entries(api, resource=user_id)[0]
        assert (entry["action"], entry["actor"]) == ("user.update", boss.id)
        assert (entry["before"], entry["after"]) == ({"role": "user"}, {"role": "agent"})


class TestLastAdmin:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("DELETE", "", None),
            ("PUT", "", {"role": "supervisor"}),
            ("PUT", "", {"status": "suspended"}),
            ("PUT", "", {"is_active": False}),
            ("POST", "/status", {"status": "suspended"}),
        ],
    )
    def test_stays(
        self, method: str, path: str, body: Any, boss: Person, public: Api, runtime: Runtime
    ) -> None:
        """The last active admin isn't deleted, demoted or suspended; with another one it is."""
        sleeper = users.quick(runtime, "admin")
        boss.made(f"{URL}/{sleeper}/status", {"status": "suspended"})
        public.error(boss.call(method, f"{URL}/{boss.id}{path}", body), 409, "USER_003")
        assert boss.is_logged_in()
        boss.made(f"{URL}/{sleeper}/status", {"status": "active"})
        answer = boss.call(method, f"{URL}/{boss.id}{path}", body)
        assert answer.status_code in (200, 204)

    def test_harmless_changes(self, boss: Person) -> None:
        """The last admin may change in what isn't its power."""
        assert boss.put(f"{URL}/{boss.id}", {"full_name": "Boss"}).status_code == 200
        assert boss.put(f"{URL}/{boss.id}", {"role": "admin"}).status_code == 200

    def test_each_other(self, boss: Person, public: Api) -> None:
        """Of two admins who demote each other at the same time one stays."""
        other = users.person(public, "admin")
        body = {"role": "user"}
        answers = at_once(
            public,
            [
                put(f"{URL}/{other.id}", body, headers=boss.headers),
                put(f"{URL}/{boss.id}", body, headers=other.headers),
            ],
        )
        found = statuses(answers)
        assert found.pop(200) == 1
        # The slower one is refused for it, or is no admin any more when it is asked.
        assert (found, codes(answers)) in [({409: 1}, {"USER_003"}), ({403: 1}, {"AUTH_008"})]

    def test_many_at_once(self, boss: Person, public: Api, runtime: Runtime) -> None:
        """However many admins are suspended at the same time, one stays."""
        admins = [boss.id, *(users.quick(runtime, "admin") for _ in range(5))]
        calls = [
            post(f"{URL}/{user}/status", {"status": "suspended"}, headers=boss.headers)
            for user in reversed(admins)
        ]
        at_once(public, calls)
        active = runtime.read(
            lambda session: session.query(User).filter_by(role="admin", status="active").count()
        )
        assert active >= 1


def test_permissions(boss: Person) -> None:
    """The table of permissions and roles is the contract's; a higher role has all of a lower."""
    found = boss.found("/api/v1/admin/permissions")
    assert found["permissions"] == list(PERMISSIONS)
    assert set(found["roles"]["admin"]) == set(PERMISSIONS)
    assert list(found["roles"]) == ["admin", "supervisor", "agent", "user", "guest"]
    held = [set(permissions) for permissions in found["roles"].values()]
    assert all(higher >= lower for higher, lower in pairwise(held))


class TestAnalytics:
    def test_dashboard(self, boss: Person, api: Api) -> None:
        """The dashboard counts what there is."""
        before = boss.found(f"{ANALYTICS}/dashboard")
        key = factories.api_key(api)
        factories.heart_beat(api, {"tenant_id": key["tenant_id"], "id": key["agent_id"]})
        factories.usage(api, key["tenant_id"], details={"tokens_in": 7, "tokens_out": 3})
        after = boss.found(f"{ANALYTICS}/dashboard")
        for kind in ("tenants", "agents", "api_keys"):
            assert after[kind]["total"] == before[kind]["total"] + 1
            assert after[kind]["active"] == before[kind].get("active", 0) + 1
        assert after["users"] == {"total": 1, "active": 1}
        assert (before["agents"]["alive"], after["agents"]["alive"]) == (0, 1)
        for period in ("usage_today", "usage_this_month"):
            assert before[period]["requests"] == 0
            assert (after[period]["requests"], after[period]["tokens_in"]) == (1, 7)

    def test_users(self, public: Api, runtime: Runtime) -> None:
        """Users are counted by role, status, session and day of registration."""
        with time_machine.travel("2026-11-20T23:59:59Z", tick=False) as clock:
            users.quick(runtime)
            clock.move_to("2026-11-23T08:00:00Z")
            users.quick(runtime, "agent")
            boss = users.person(public, "admin")
            suspended = users.quick(runtime)
            boss.made(f"{URL}/{suspended}/status", {"status": "suspended"})
            found = boss.found(f"{ANALYTICS}/users")
        days = {day["day"]: day["count"] for day in found.pop("registrations")}
        assert found == {
            "total": 4,
            "by_role": {"admin": 1, "agent": 1, "user": 2},
            "by_status": {"active": 3, "suspended": 1},
            "active_sessions": 1,
            "logged_in_today": 1,
        }
        assert (len(days), min(days), max(days)) == (30, "2026-10-25", "2026-11-23")
        assert {day: count for day, count in days.items() if count} == {
            "2026-11-20": 1,
            "2026-11-23": 3,
        }
