"""Passwords: their hashes, and how many are made at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from maimconfig.http.errors import Busy
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users.models import User
from tests.api import Api
from tests.factories import users
from tests.factories.users import AUTH, PASSWORD

pytestmark = pytest.mark.usefixtures("true_password_cost")

WAIT_SECONDS = 30


class Slow:
    """A hasher that waits until it is let go, and knows how many are in it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        """Wait."""
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(WAIT_SECONDS)
        with self._lock:
            self.inside -= 1
        return f"hash of {password}"

    def verify(self, _stored: str, password: str) -> bool:
        """Wait as well."""
        return bool(self.hash(password))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """The hasher of the test."""
    hasher = Slow()
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield hasher
    hasher.go.set()


def test_cost() -> None:
    """A hash is argon2id of 19 MiB, two passes and one lane, each with a salt of its own."""
    first, second = (passwords.hash_password(PASSWORD) for _ in range(2))
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert passwords.verify_password(PASSWORD, first)
    assert not passwords.is_outdated(first)


@pytest.mark.parametrize("other", ["", PASSWORD[:-1], f"{PASSWORD} ", PASSWORD.upper(), "密码"])
def test_another_password(other: str) -> None:
    """Only the very password is the one of its hash."""
    assert not passwords.verify_password(other, passwords.hash_password(PASSWORD))


def test_nobodys() -> None:
    """Nobody has a password, not even the one that nobody's hash was made of."""
    assert not passwords.verify_password("nobody's password", None)


def test_two_at_once(slow: Slow) -> None:
    """Of ten logins at the same time two are in the hash, and all get their turn."""
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(passwords.hash_password, str(number)) for number in range(10)]
        _until(lambda: slow.inside == 2)
        slow.go.set()
        assert [done.result(WAIT_SECONDS) for done in waiting] == [
            f"hash of {number}" for number in range(10)
        ]
    assert slow.most == 2


def test_past_the_queue(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes when too many wait already is told so at once."""
    monkeypatch.setattr(passwords, "_queue", threading.BoundedSemaphore(3))
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(passwords.hash_password, "x") for _ in range(3)]
        _until(lambda: passwords._queue._value == 0)
        with pytest.raises(Busy):
            passwords.verify_password("x", None)
        slow.go.set()
        assert [done.result(WAIT_SECONDS) for done in waiting] == ["hash of x"] * 3
    assert passwords.verify_password("x", "stored")


def test_waited_too_long(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has waited too long gives up, and its place is free again."""
    monkeypatch.setattr(passwords, "_WAIT_SECONDS", 0.01)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(passwords.hash_password, "x") for _ in range(2)]
        _until(lambda: slow.inside == 2)
        with pytest.raises(Busy):
            passwords.hash_password("y")
        slow.go.set()
        assert [done.result(WAIT_SECONDS) for done in waiting] == ["hash of x"] * 2
    assert passwords.hash_password("y") == "hash of y"


@pytest.mark.parametrize("path", ["login", "register"])
def test_busy(path: str, public: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP that is 503 SYS_005 with Retry-After."""
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(passwords, "_queue", full)
    answer = public.post(f"{AUTH}/{path}", {"username": "a", "password": PASSWORD})
    public.error(answer, 503, "SYS_005")
    assert int(answer.headers["Retry-After"]) >= 1


def test_an_outdated_hash(public: Api, runtime: Runtime) -> None:
    """A hash of another cost is made anew by the next login, and by that alone."""
    made = users.register(public, username="alice")
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    mine = User.id == made["id"]
    runtime.write(
        lambda session: session.execute(update(User).where(mine).values(password_hash=old)) and None
    )

    def stored() -> Any:
        return runtime.read(lambda session: session.scalar(select(User.password_hash).where(mine)))

    public.post(f"{AUTH}/login", {"username": "alice", "password": "wrong"})
    assert stored() == old
    assert users.log_in(public, "alice").is_logged_in()
    fresh = stored()
    assert fresh.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert users.log_in(public, "alice").is_logged_in()
    assert stored() == fresh


def _until(reached: Any) -> None:
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 100):
        if reached():
            return
        pause.wait(0.01)
    raise AssertionError("it didn't come to that")


def test_bcrypt() -> None:
    """A hash of the older services is verified, as far as bcrypt sees, and is outdated; a NUL
    ends nothing, and a cost that no login can wait for isn't one."""
    long = "é" * 40
    for password in ("password", long):
        stored = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        assert passwords.verify_password(password, stored)
        assert not passwords.verify_password(f"x{password}", stored)
        assert not passwords.verify_password(f"{password}\0", stored)
        assert passwords.is_outdated(stored)
    assert not passwords.is_bcrypt(stored.replace("$04$", "$31$"))
