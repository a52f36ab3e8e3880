"""Logins and what comes of them: tokens, sessions, me, logouts, another password."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
import time_machine

from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, PASSWORD, Person

LOGIN = f"{AUTH}/login"
PHONE = {"User-Agent": "phone"}


@pytest.fixture
def alice(public: Api) -> Person:
    """Somebody with an e-mail address."""
    return users.person(public, username="Alice", email="alice@example.com")


class TestLogin:
    def test_what_is_answered(self, public: Api) -> None:
        """A login gives both tokens, the user and its permissions, and must not be cached."""
        made = users.register(public, username="alice")
        answer = public.post(LOGIN, {"username": "alice", "password": PASSWORD})
        found = users.plain(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        assert found.pop("access_token") != found.pop("refresh_token")
        assert found == {
            "token_type": "bearer",
            "expires_in": 1800,
            "user": made,
            "permissions": [],
        }

    def test_form(self, public: Api, alice: Person) -> None:
        """An OAuth2 client logs in by a form."""
        form = {"grant_type": "password", "username": "Alice", "password": PASSWORD, "scope": ""}
        answer = public.call("POST", LOGIN, data=form)
        assert users.plain(answer)["user"] == alice.user

    def test_form_of_a_page(self, public: Api, alice: Person) -> None:
        """A page's FormData, which a browser sends in parts, is a form too."""
        form = {"username": "Alice", "password": PASSWORD}
        answer = public.call("POST", LOGIN, data=form, content_type="multipart/form-data")
        assert users.plain(answer)["user"] == alice.user

    @pytest.mark.parametrize(
        "name",
        [
            {"username": "alice"},
            {"username": "ＡＬＩＣＥ"},
            {"email": "alice@example.com"},
            {"email": "Alice@Example.com"},
            {"username": "alice@example.com"},
        ],
    )
    def test_names(self, name: dict[str, str], public: Api, alice: Person) -> None:
        """A username or an e-mail address, in any case or width, names the user."""
        found = users.plain(public.post(LOGIN, {**name, "password": PASSWORD}))
        assert found["user"]["id"] == alice.id

    @pytest.mark.parametrize(
        ("name", "password"),
        [
            ("alice", "wrong password"),
            ("alice", ""),
            ("alice", PASSWORD.upper()),
            ("alice", f"{PASSWORD} "),
            ("alice", "x" * 1000),
            ("nobody", PASSWORD),
            ("nobody@example.com", PASSWORD),
            ("alic", PASSWORD),
            ("%", PASSWORD),
            ("alice' --", PASSWORD),
        ],
    )
    def test_wrong(self, name: str, password: str, public: Api, alice: Person) -> None:
        """A wrong password and an unknown user are the same 401 AUTH_007."""
        sample = public.post(LOGIN, {"username": "nobody at all", "password": "whatever it is"})
        answer = public.post(LOGIN, {"username": name, "password": password})
        assert same(answer) == same(sample)
        assert public.error(answer, 401, "AUTH_007")["error"] == "用户名或密码错误"
        assert answer.headers["WWW-Authenticate"] == sample.headers["WWW-Authenticate"]

    def test_suspended(self, public: Api, alice: Person) -> None:
        """A suspended user is told no more than somebody unknown."""
        boss = users.person(public, "admin")
        boss.made(f"/api/v1/admin/users/{alice.id}/status", {"status": "suspended"})
        right = public.post(LOGIN, {"username": "alice", "password": PASSWORD})
        unknown = public.post(LOGIN, {"username": "nobody", "password": PASSWORD})
        public.error(right, 401, "AUTH_007")
        assert same(right) == same(unknown)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"password": PASSWORD}, "username"),
            ({"username": "alice"}, "password"),
            ({"username": "alice", "password": None}, "password"),
            ({"username": "a\0", "password": PASSWORD}, "username"),
            ({"username": "alice", "password": "pass\0word"}, "password"),
            ({"username": "x" * 255, "password": PASSWORD}, "username"),
            ({"username": "alice", "password": "x" * 1001}, "password"),
            ({"username": ["alice"], "password": PASSWORD}, "username"),
            ({"username": "alice", "password": PASSWORD, "grant_type": "implicit"}, "grant_type"),
            ({"username": "alice", "password": PASSWORD, "remember": True}, "remember"),
        ],
    )
    def test_wrong_fields(self, body: dict[str, Any], field: str, public: Api) -> None:
        """What can't be a login is 422 with the field."""
        error = public.error(public.post(LOGIN, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == [field]

    def test_claims(self, alice: Person) -> None:
        """An access token has the claims of the contract, under the current key's id."""
        token = alice.tokens["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert set(claims) == {"sub", "sid", "iat", "exp", "jti", "iss", "aud"}
        assert (claims["sub"], claims["exp"] - claims["iat"]) == (alice.id, 1800)
        (session,) = alice.found(f"{AUTH}/sessions")
        assert claims["sid"] == session["id"]
        running = alice.api.app.extensions["tests.runtime"]
        assert jwt.get_unverified_header(token) == {
            "alg": "HS256",
            "typ": "JWT",
            "kid": running.vault.current.id,
        }

    def test_each_its_own(self, public: Api, alice: Person) -> None:
        """Two logins share no token and no session."""
        other = users.log_in(public, "alice")
        assert other.tokens["access_token"] != alice.tokens["access_token"]
        assert other.tokens["refresh_token"] != alice.tokens["refresh_token"]
        assert len(alice.found(f"{AUTH}/sessions")) == 2

    def test_last_login(self, public: Api) -> None:
        """An administrator sees when somebody last logged in; the user's ETag stays."""
        made = users.register(public)
        boss = users.person(public, "admin")
        url = f"/api/v1/admin/users/{made['id']}"
        before = boss.get(url)
        assert before.get_json()["last_login_at"] is None
        with time_machine.travel("2036-11-23T08:00:00Z", tick=False):
            users.log_in(public, made["username"])
        after = boss.get(url)
        assert after.get_json()["last_login_at"] == "2036-11-23T08:00:00Z"
        assert after.headers["ETag"] == before.headers["ETag"]


class TestMe:
    def test_me(self, alice: Person) -> None:
        """Me is the user of the login, with its permissions."""
        assert alice.found(f"{AUTH}/me") == {**alice.user, "permissions": []}

    def test_permissions(self, public: Api) -> None:
        """A role brings its permissions, in the login's answer and in me."""
        found = users.person(public, "agent")
        expected = ["conversation.read", "message.read", "message.send"]
        assert found.tokens["permissions"] == expected
        assert found.found(f"{AUTH}/me")["permissions"] == expected

    @pytest.mark.parametrize("path", ["/me", "/sessions"])
    def test_trailing_slash(self, path: str, alice: Person) -> None:
        """A path answers with and without the trailing slash, without a redirect."""
        assert alice.found(f"{AUTH}{path}/") == alice.found(f"{AUTH}{path}")


class TestSessions:
    def test_list(self, public: Api) -> None:
        """A user sees the living sessions, newest first, and which one asks."""
        users.register(public, username="alice")
        with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as clock:
            first = users.log_in(public, "alice")
            clock.shift(60)
            body = {"username": "alice", "password": PASSWORD}
            public.post(LOGIN, body, headers=PHONE, environ_base={"REMOTE_ADDR": "192.0.2.7"})
            newest, oldest = first.found(f"{AUTH}/sessions")
        assert (newest["user_agent"], newest["address"]) == ("phone", "192.0.2.7")
        assert (newest["current"], oldest["current"]) == (False, True)
        assert newest["created_at"] == "2026-11-23T08:01:00Z"
        assert newest["expires_at"] == "2026-12-23T08:01:00Z"

    def test_not_those_of_others(self, public: Api, alice: Person) -> None:
        """Nobody sees another's sessions, nor ends them."""
        bob = users.person(public)
        assert len(bob.found(f"{AUTH}/sessions")) == 1
        assert bob.post(f"{AUTH}/logout-all").status_code == 204
        assert alice.is_logged_in()

    def test_long_user_agent(self, public: Api, alice: Person) -> None:
        """However long a browser's name is, it may log in."""
        body = {"username": "alice", "password": PASSWORD}
        answer = public.post(LOGIN, body, headers={"User-Agent": "é" * 5000})
        assert answer.status_code == 200
        assert max(len(found["user_agent"]) for found in alice.found(f"{AUTH}/sessions")) == 200

    def test_they_end_by_themselves(self, public: Api) -> None:
        """A session that isn't used for 30 days is over."""
        with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as clock:
            someone = users.person(public)
            clock.move_to("2026-12-23T07:59:59Z")
            assert someone.refreshed().status_code == 200
            clock.move_to("2027-01-23T08:00:00Z")
            public.error(someone.refreshed(), 401, "AUTH_006")


class TestLogout:
    def test_logout(self, public: Api, alice: Person) -> None:
        """A logout ends this session, its access and its refresh token, and no other."""
        phone = users.log_in(public, "alice")
        answer = phone.post(f"{AUTH}/logout")
        assert (answer.status_code, answer.data) == (204, b"")
        public.error(phone.get(f"{AUTH}/me"), 401, "AUTH_006")
        public.error(phone.refreshed(), 401, "AUTH_006")
        assert alice.is_logged_in()
        assert len(alice.found(f"{AUTH}/sessions")) == 1

    def test_logout_all(self, public: Api, alice: Person) -> None:
        """A logout everywhere ends all sessions of the user."""
        phone = users.log_in(public, "alice")
        assert alice.post(f"{AUTH}/logout-all").status_code == 204
        for ended in (alice, phone):
            assert not ended.is_logged_in()
            public.error(ended.refreshed(), 401, "AUTH_006")
        assert users.log_in(public, "alice").is_logged_in()


class TestChangePassword:
    URL = f"{AUTH}/change-password"

    def test_change(self, public: Api, alice: Person) -> None:
        """With another password the other sessions end; this one lives, and so do its tokens."""
        phone = users.log_in(public, "alice")
        body = {"old_password": PASSWORD, "new_password": "another password"}
        answer = alice.post(self.URL, body)
        assert (answer.status_code, answer.data) == (204, b"")
        assert alice.is_logged_in()
        assert alice.refreshed().status_code == 200
        assert not phone.is_logged_in()
        public.error(phone.refreshed(), 401, "AUTH_006")
        old = public.post(LOGIN, {"username": "alice", "password": PASSWORD})
        public.error(old, 401, "AUTH_007")
        assert users.log_in(public, "alice", "another password").is_logged_in()

    def test_wrong(self, public: Api, alice: Person) -> None:
        """With a wrong old password nothing changes."""
        body = {"old_password": "not the password", "new_password": "another password"}
        public.error(alice.post(self.URL, body), 401, "AUTH_007")
        assert users.log_in(public, "alice", PASSWORD).is_logged_in()

    @pytest.mark.parametrize("new", [None, "", "x" * 7, "x" * 129, "a new\0password", 12345678])
    def test_what_is_no_password(self, new: Any, public: Api, alice: Person) -> None:
        """What is no password is 422."""
        body = {"old_password": PASSWORD, "new_password": new}
        error = public.error(alice.post(self.URL, body), 422, "VALIDATION_ERROR")
        assert list(error["details"]) == ["new_password"]

    def test_audit(self, api: Api, alice: Person) -> None:
        """The audit log keeps that it was changed, and by whom, but neither the old nor the new."""
        alice.post(self.URL, {"old_password": PASSWORD, "new_password": "another password"})
        entry = factories.audit_entries(api, resource=alice.id)[0]
        assert (entry["action"], entry["actor"]) == ("user.password", alice.id)
        assert (entry["before"], entry["after"]) == (None, None)


@pytest.mark.parametrize("path", ["logout", "logout-all", "change-password"])
def test_no_login(path: str, public: Api) -> None:
    """Who isn't logged in has nothing to end and nothing to change."""
    public.error(public.post(f"{AUTH}/{path}", {}), 401, "AUTH_006")


def same(answer: Any) -> dict[str, Any]:
    """What an error tells: all but the moment and the request's id."""
    told = answer.get_json()
    return {name: told[name] for name in told.keys() - {"timestamp", "request_id"}}
