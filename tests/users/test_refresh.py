"""POST /api/v1/auth/refresh: rotation, lost answers, replays, many at once"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine

from maimconfig.security.secret_file import SecretFile
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, Person
from tests.parallel import at_once, post, statuses

URL = f"{AUTH}/refresh"


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is shifted."""
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as traveller:
        yield traveller


@pytest.fixture
def alice(public: Api, clock: Any) -> Person:
    """Somebody who has just logged in."""
    return users.person(public)


def refresh(api: Api, token: str) -> dict[str, Any]:
    """The new tokens for an old one."""
    return users.plain(api.post(URL, {"refresh_token": token}))


def test_rotation(public: Api, alice: Person) -> None:
    """A refresh gives two new tokens, both good, of the same session."""
    fresh = refresh(public, alice.tokens["refresh_token"])
    assert fresh["refresh_token"] != alice.tokens["refresh_token"]
    assert fresh["access_token"] != alice.tokens["access_token"]
    assert (fresh["user"], fresh["expires_in"]) == (alice.user, 1800)
    assert Person(public, alice.user, fresh).is_logged_in()
    assert len(alice.found(f"{AUTH}/sessions")) == 1


def test_access_tokens_end(public: Api, alice: Person, clock: Any) -> None:
    """After 30 minutes an access token is over, and a refresh gives the next one."""
    clock.shift(1799)
    assert alice.is_logged_in()
    clock.shift(1)
    assert not alice.is_logged_in()
    fresh = Person(public, alice.user, refresh(public, alice.tokens["refresh_token"]))
    assert fresh.is_logged_in()


def test_clock_set_back(public: Api, alice: Person, clock: Any) -> None:
    """A token of the hour that is gone is refused, and a refresh gives one that is good."""
    clock.shift(-3600)
    assert not alice.is_logged_in()
    fresh = Person(public, alice.user, refresh(public, alice.tokens["refresh_token"]))
    assert fresh.is_logged_in()


def test_lost_answer(public: Api, alice: Person, clock: Any) -> None:
    """Who lost the answer and asks again within 10 s gets the same new refresh token."""
    old = alice.tokens["refresh_token"]
    fresh = refresh(public, old)
    clock.shift(10)
    again = refresh(public, old)
    assert again["refresh_token"] == fresh["refresh_token"]
    assert refresh(public, again["refresh_token"])["refresh_token"] != fresh["refresh_token"]


def test_replay(public: Api, api: Api, alice: Person, clock: Any) -> None:
    """A token replayed after the window ends the family: the access tokens too."""
    old = alice.tokens["refresh_token"]
    fresh = Person(public, alice.user, refresh(public, old))
    clock.shift(10.001)
    public.error(public.post(URL, {"refresh_token": old}), 401, "AUTH_006")
    public.error(fresh.refreshed(), 401, "AUTH_006")
    assert not fresh.is_logged_in()
    assert not alice.is_logged_in()
    (entry,) = [
        entry for entry in factories.audit_entries(api) if entry["action"] == "login_session.end"
    ]
    assert entry["after"] == {"reason": "replayed refresh token"}


def test_older_generation(public: Api, alice: Person) -> None:
    """A token from before the last one ends the family even within the window."""
    old = alice.tokens["refresh_token"]
    newest = refresh(public, refresh(public, old)["refresh_token"])
    public.error(public.post(URL, {"refresh_token": old}), 401, "AUTH_006")
    assert not Person(public, alice.user, newest).is_logged_in()


def test_other_sessions_live(public: Api, alice: Person) -> None:
    """A replay ends its own family, not the user's other sessions."""
    phone = users.log_in(public, alice.user["username"])
    old = alice.tokens["refresh_token"]
    refresh(public, refresh(public, old)["refresh_token"])
    public.error(public.post(URL, {"refresh_token": old}), 401, "AUTH_006")
    assert phone.is_logged_in()


def test_a_forged_one_ends_nothing(public: Api, alice: Person) -> None:
    """Who guesses a session's id can't end it by a token that was never made."""
    genuine = alice.tokens["refresh_token"]
    forged = genuine[:-1] + ("0" if genuine[-1] != "0" else "1")
    public.error(public.post(URL, {"refresh_token": forged}), 401, "AUTH_006")
    public.error(
        public.post(URL, {"refresh_token": genuine.replace(".1.", ".0.")}), 401, "AUTH_006"
    )
    assert alice.refreshed().status_code == 200


def test_no_window(public_with: Callable[..., Api], alice: Person, clock: Any) -> None:
    """The window is a setting: with none, a repeated token is replayed a moment later."""
    strict = public_with(refresh_grace_seconds=0)
    old = alice.tokens["refresh_token"]
    refresh(strict, old)
    clock.shift(0.001)
    strict.error(strict.post(URL, {"refresh_token": old}), 401, "AUTH_006")


def test_many_at_once(public: Api) -> None:
    """Of 20 refreshes with one token at the same time all get the one token that is good then."""
    alice = users.person(public)
    body = {"refresh_token": alice.tokens["refresh_token"]}
    answers = at_once(public, [post(URL, body)] * 20)
    assert statuses(answers) == {200: 20}
    (token,) = {answer.get_json()["refresh_token"] for answer in answers}
    assert len(alice.found(f"{AUTH}/sessions")) == 1
    assert refresh(public, token)["refresh_token"] != token


def test_many_at_once_without_a_window(public_with: Callable[..., Api]) -> None:
    """Without the window one of 20 rotates, and the family is dead: the others were replays."""
    public = public_with(refresh_grace_seconds=0)
    alice = users.person(public)
    body = {"refresh_token": alice.tokens["refresh_token"]}
    answers = at_once(public, [post(URL, body)] * 20)
    assert statuses(answers) == {200: 1, 401: 19}
    assert not alice.is_logged_in()


def test_the_suspended(public: Api, alice: Person) -> None:
    """A suspended user refreshes nothing, also when taken back."""
    boss = users.person(public, "admin")
    url = f"/api/v1/admin/users/{alice.id}/status"
    for status in ("suspended", "active"):
        boss.made(url, {"status": status})
        public.error(alice.refreshed(), 401, "AUTH_006")


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 501}])
def test_no_token(body: dict[str, str], public: Api) -> None:
    """What can't be a token is 422."""
    error = public.error(public.post(URL, body), 422, "VALIDATION_ERROR")
    assert list(error["details"]) == ["refresh_token"]


def test_rotated_secret(public_with: Callable[..., Api], instance_folder: Any) -> None:
    """After rotate-secret live sessions go on while the old secret is known, and not after."""
    public = public_with(instance=instance_folder, secret_key=None)
    vault = public.app.extensions["tests.runtime"].vault
    alice = users.person(public)
    file = SecretFile(instance_folder / "secret.key")
    file.rotate()
    assert vault.reload()
    assert alice.is_logged_in()
    fresh = users.plain(alice.refreshed())
    file.forget_previous()
    assert vault.reload()
    assert not alice.is_logged_in()
    public.error(alice.refreshed(), 401, "AUTH_006")
    assert Person(public, alice.user, fresh).is_logged_in()
