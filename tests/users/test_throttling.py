"""How often a password may be tried."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine

from maimconfig.security import passwords
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, PASSWORD
from tests.parallel import at_once, post, statuses

pytestmark = pytest.mark.usefixtures("true_password_cost")

URL = f"{AUTH}/login"
LIMIT = 5


@pytest.fixture
def clock() -> Iterator[Any]:
    """A clock that stands still until it is shifted."""
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as traveller:
        yield traveller


@pytest.fixture
def strict(public_with: Callable[..., Api]) -> Api:
    """The public plane as it is by default."""
    return public_with(login_attempts_per_minute=LIMIT)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that reached the hash."""
    reached: list[str] = []
    true = passwords.verify_password

    def counted(password: str, stored: str | None) -> bool:
        reached.append(password)
        return true(password, stored)

    monkeypatch.setattr(passwords, "verify_password", counted)
    return reached


def attempt(api: Api, name: str, password: str = "wrong", address: str = "192.0.2.1") -> Any:
    """A login from an address."""
    body = {"username": name, "password": password}
    return api.post(URL, body, environ_base={"REMOTE_ADDR": address})


def rate_of(answer: Any) -> dict[str, str]:
    """What the RateLimit headers of an answer say."""
    names = ("Limit", "Remaining", "Reset")
    return {name: answer.headers[f"RateLimit-{name}"] for name in names}


def test_an_account(strict: Api, public: Api, clock: Any, verified: list[str]) -> None:
    """Five failures a minute for an account, whatever addresses they come from and however its
    name is written; the sixth isn't even tried, not with the right password either."""
    alice = users.person(public, username="alice")
    verified.clear()
    for number, name in enumerate(["alice", "ALICE", "Ａlice", "alicE", "aLice"]):
        strict.error(attempt(strict, name, address=f"192.0.2.{number}"), 401, "AUTH_007")
    clock.shift(15)
    refused = attempt(strict, "alice", PASSWORD, address="192.0.2.99")
    strict.error(refused, 429, "RATE_001")
    assert refused.headers["Retry-After"] == "45"
    assert rate_of(refused) == {"Limit": "5", "Remaining": "0", "Reset": "45"}
    assert len(verified) == LIMIT
    assert alice.is_logged_in()
    assert alice.refreshed().status_code == 200
    clock.shift(45)
    assert attempt(strict, "alice", PASSWORD).status_code == 200


def test_an_address(strict: Api, clock: Any, verified: list[str]) -> None:
    """Five failures a minute from an address, whatever names it tries."""
    for number in range(LIMIT):
        strict.error(attempt(strict, f"nobody{number}"), 401, "AUTH_007")
    strict.error(attempt(strict, "nobody"), 429, "RATE_001")
    strict.error(attempt(strict, "nobody", address="192.0.2.2"), 401, "AUTH_007")
    assert len(verified) == LIMIT + 1


def test_what_is_left(strict: Api, public: Api, clock: Any) -> None:
    """Each login says how many may still fail, for the account or the address, whichever is less;
    right ones take nothing from it, and so do changes of a password."""
    alice = users.person(public, username="alice")
    tries = [
        (PASSWORD, 200, "5"), ("wrong", 401, "4"), ("wrong", 401, "3"), (PASSWORD, 200, "3"),
    ]  # fmt: skip
    for password, status, left in tries:
        answer = attempt(strict, "alice", password)
        assert answer.status_code == status
        assert rate_of(answer) == {"Limit": "5", "Remaining": left, "Reset": "60"}
    clock.shift(20)
    answer = attempt(strict, "nobody")
    assert rate_of(answer) == {"Limit": "5", "Remaining": "2", "Reset": "40"}
    for old, status, left in (("wrong", 401, "4"), (PASSWORD, 204, "4")):
        body = {"old_password": old, "new_password": PASSWORD}
        answer = strict.post(f"{AUTH}/change-password", body, headers=alice.headers)
        assert answer.status_code == status
        assert rate_of(answer)["Remaining"] == left


def test_registrations(strict: Api, clock: Any) -> None:
    """Five registrations a minute from an address; each answer says how many are left."""
    for number in range(LIMIT):
        body = {"username": f"newcomer{number}", "password": PASSWORD}
        answer = strict.post(f"{AUTH}/register", body)
        left = str(LIMIT - 1 - number)
        assert rate_of(answer) == {"Limit": "5", "Remaining": left, "Reset": "60"}
    refused = strict.post(f"{AUTH}/register", {"username": "late", "password": PASSWORD})
    strict.error(refused, 429, "RATE_001")
    assert rate_of(refused) == {"Limit": "5", "Remaining": "0", "Reset": "60"}


def test_a_refused_attempt_counts_for_nobody(strict: Api, public: Api, clock: Any) -> None:
    """An address that is refused already can't lock accounts by going on."""
    users.register(public, username="alice")
    for number in range(LIMIT):
        attempt(strict, f"nobody{number}")
    for _ in range(2 * LIMIT):
        strict.error(attempt(strict, "alice"), 429, "RATE_001")
    assert attempt(strict, "alice", PASSWORD, address="192.0.2.2").status_code == 200


def test_successes_count_for_nothing(strict: Api, public: Api, clock: Any) -> None:
    """Whoever knows the password may log in as often as wanted."""
    users.register(public, username="alice")
    for _ in range(LIMIT - 1):
        attempt(strict, "alice")
    for _ in range(2 * LIMIT):
        assert attempt(strict, "alice", PASSWORD).status_code == 200
    strict.error(attempt(strict, "alice"), 401, "AUTH_007")
    strict.error(attempt(strict, "alice"), 429, "RATE_001")


def test_over_processes(public_with: Callable[..., Api], clock: Any, verified: list[str]) -> None:
    """The limit holds over all that share a database."""
    both = [public_with(login_attempts_per_minute=LIMIT) for _ in range(2)]
    answers = [attempt(both[number % 2], "nobody") for number in range(LIMIT + 1)]
    assert [answer.status_code for answer in answers] == [401] * LIMIT + [429]
    assert len(verified) == LIMIT


def test_at_once(strict: Api, verified: list[str]) -> None:
    """Of 20 attempts at the same time no more than five reach the hash."""
    answers = at_once(strict, [post(URL, {"username": "nobody", "password": "wrong"})] * 20)
    assert statuses(answers) == {401: LIMIT, 429: 20 - LIMIT}
    assert len(verified) == LIMIT


def test_right_ones_at_once(strict: Api, public: Api, verified: list[str]) -> None:
    """Of 15 logins with the right password at the same time, from one address and into one account,
    none is refused for the others."""
    users.register(public, username="alice")
    answers = at_once(strict, [post(URL, {"username": "alice", "password": PASSWORD})] * 15)
    assert statuses(answers) == {200: 15}
    strict.error(attempt(strict, "alice"), 401, "AUTH_007")


def test_wrong_among_right_ones(strict: Api, public: Api, verified: list[str]) -> None:
    """However right and wrong ones are mixed, no more wrong ones than allowed reach the hash."""
    users.register(public, username="alice")
    right = post(URL, {"username": "alice", "password": PASSWORD})
    wrong = [post(URL, {"username": f"nobody{n}", "password": "wrong"}) for n in range(15)]
    answers = at_once(strict, [call for other in wrong for call in (right, other)], threads=15)
    tried = [answer for answer in answers[1::2] if answer.status_code == 401]
    assert len(tried) == verified.count("wrong") == LIMIT
    assert set(statuses(answers[::2])) <= {200, 429}


def test_too_busy_counts_for_nothing(
    strict: Api, public: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt for which there was no turn didn't reach the hash, and counts for nothing."""
    users.register(public, username="alice")
    with monkeypatch.context() as patched:
        patched.setattr(passwords, "_queue", threading.BoundedSemaphore(1))
        with passwords._queue:
            for _ in range(2 * LIMIT):
                strict.error(attempt(strict, "alice", PASSWORD), 503, "SYS_005")
    assert attempt(strict, "alice", PASSWORD).status_code == 200


def test_many_changes(strict: Api, clock: Any) -> None:
    """Whoever knows the old password may change it as often as wanted."""
    alice = users.person(strict)
    body = {"old_password": PASSWORD, "new_password": PASSWORD}
    for _ in range(2 * LIMIT):
        assert alice.post(f"{AUTH}/change-password", body).status_code == 204


def test_of_old_passwords(strict: Api, clock: Any) -> None:
    """Who has found somebody logged in can't try passwords by changing it."""
    alice = users.person(strict)
    body = {"old_password": "wrong", "new_password": "another password"}
    for _ in range(LIMIT):
        strict.error(alice.post(f"{AUTH}/change-password", body), 401, "AUTH_007")
    strict.error(alice.post(f"{AUTH}/change-password", body), 429, "RATE_001")
    assert alice.is_logged_in()


@pytest.mark.parametrize("known", [True, False])
def test_one_hash_each(known: bool, public: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password costs one verification, whether or not there is such a user."""
    users.register(public, username="alice")
    counted: list[str] = []
    hasher = passwords._HASHER

    class Counting:
        def __getattr__(self, name: str) -> Any:
            counted.append(name)
            return getattr(hasher, name)

    monkeypatch.setattr(passwords, "_HASHER", Counting())
    public.error(attempt(public, "alice" if known else "nobody"), 401, "AUTH_007")
    assert counted == ["verify"]
