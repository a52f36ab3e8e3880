"""The running service beside its requests: counts are written, leftovers tidied up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.exc import DBAPIError

from maimconfig import background
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.app import create_app
from maimconfig.db.ids import first_id_of
from maimconfig.db.session import Session
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.http.idempotency import IdempotentAnswer
from maimconfig.key_checks.counting import FLUSH_SECONDS
from maimconfig.key_checks.models import KeyUsageFlush
from maimconfig.rate_limits.models import RateWindow
from maimconfig.runtime import Runtime
from maimconfig.setting_types import database_url as as_url
from maimconfig.settings import Settings
from tests import factories
from tests.api import Api
from tests.servers.mariadb import MariaDB, connect, fresh_database
from tests.serving.harness import eventually

VALIDATE = "/api/v2/auth/validate-api-key"
WITHIN = 1.0  # s, contract: last_used_at and usage_count follow within a second
BUSY = 2.0  # s more for a machine that is busy with other tests


@pytest.fixture
def own(settings: Settings) -> Iterator[Runtime]:
    """A runtime for this test alone, on the migrated database."""
    runtime = Runtime.open(settings)
    yield runtime
    runtime.close()


@pytest.fixture
def caller(own: Runtime) -> Api:
    """A caller of its internal plane."""
    return Api(create_app("internal", own))


def usage_of(runtime: Runtime, key_id: str) -> tuple[int, datetime | None]:
    """How often a key was used, and when last, as the database has it."""
    query = select(ApiKey.usage_count, ApiKey.last_used_at).where(ApiKey.id == key_id)
    count, last = runtime.read(lambda session: session.execute(query).one())
    return count, last


def rows(runtime: Runtime, model: Any) -> int:
    """How many rows a table has."""
    query = select(func.count()).select_from(model)
    return runtime.read(lambda session: session.scalar(query))


def test_counts_are_written(own: Runtime, caller: Api) -> None:
    """What was counted is in the database within a second, without anybody asking."""
    assert FLUSH_SECONDS < WITHIN
    key = factories.api_key(caller)
    for _ in range(3):
        caller.data(caller.post(VALIDATE, {"api_key": key["api_key"]}))
    eventually(lambda: usage_of(own, key["id"])[0] == 3, within=WITHIN + BUSY)


def test_many_keys(own: Runtime, caller: Api) -> None:
    """Counts of more keys than a statement takes are written, each key its own."""
    agent = factories.agent(caller)
    keys = [factories.api_key(caller, agent)["id"] for _ in range(3)]
    moment = datetime(2036, 1, 1, tzinfo=timezone.utc)
    for number, key_id in enumerate(keys, start=1):
        own.key_usage.add(key_id, times=number, last_used=moment + timedelta(seconds=number))
    for number in range(1200):
        own.key_usage.add(f"key_{number:05}")
    own.background.flush()
    expected = [(number, moment + timedelta(seconds=number)) for number in (1, 2, 3)]
    assert [usage_of(own, key_id) for key_id in keys] == expected


def test_last_use_goes_forward(own: Runtime, caller: Api) -> None:
    """An earlier use that is written later raises the count, and last_used_at stays."""
    key_id = factories.api_key(caller)["id"]
    later = datetime(2036, 1, 1, tzinfo=timezone.utc)
    for moment in (later, later - timedelta(days=1)):
        own.key_usage.add(key_id, last_used=moment)
        own.background.flush()
    assert usage_of(own, key_id) == (2, later)


def test_use_is_no_change(own: Runtime, caller: Api) -> None:
    """A use leaves updated_at alone, and a change made from the key before it isn't refused."""
    path = f"/api/v2/api-keys/{factories.api_key(caller)['id']}"
    before = caller.get(path)
    own.key_usage.add(caller.data(before)["id"])
    own.background.flush()
    after = caller.get(path)
    assert caller.data(after)["usage_count"] == 1
    assert caller.data(after)["updated_at"] == caller.data(before)["updated_at"]
    known = {"If-Match": before.headers["ETag"]}
    assert caller.put(path, {"description": "changed"}, headers=known).status_code == 200


def test_close_writes_the_rest(settings: Settings, own: Runtime, caller: Api) -> None:
    """Closing writes what is counted and not yet written, and closing again is harmless."""
    key_id = factories.api_key(caller)["id"]
    other = Runtime.open(settings)
    other.key_usage.add(key_id, times=7)
    other.close()
    other.close()
    assert usage_of(own, key_id)[0] == 7


def test_counted_while_written(own: Runtime, caller: Api) -> None:
    """Checks counted by many threads during many writes are all there, and none twice."""
    key_id = factories.api_key(caller)["id"]
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            own.background.flush()

    def count() -> None:
        for _ in range(500):
            own.key_usage.add(key_id)

    writers = [threading.Thread(target=flush) for _ in range(2)]
    counters = [threading.Thread(target=count) for _ in range(4)]
    for thread in writers + counters:
        thread.start()
    for thread in counters:
        thread.join()
    over.set()
    for thread in writers:
        thread.join()
    own.background.flush()
    assert usage_of(own, key_id)[0] == 2000


@pytest.fixture
def lent(private_mariadb: MariaDB, settings: Settings, tmp_path: Any) -> Iterator[Runtime]:
    """A runtime on a MariaDB that the test may stop."""
    with fresh_database(private_mariadb.url) as url:
        wanted = replace(settings, database_url=as_url(url), instance=tmp_path)
        runtime = Runtime.open(wanted, auto_migrate=True)
        yield runtime
        runtime.close()


@pytest.mark.parametrize("migrated_database_url", ["sqlite"], indirect=True, ids=["own"])
def test_database_comes_back(lent: Runtime, private_mariadb: MariaDB) -> None:
    """Counts that can't be written are kept, and written by itself once the database is back."""
    caller = Api(create_app("internal", lent))
    key = factories.api_key(caller)
    body = {"api_key": key["api_key"]}
    caller.data(caller.post(VALIDATE, body))
    private_mariadb.stop()
    caller.error(caller.post(VALIDATE, body), 503, "SYS_002")
    lent.key_usage.add(key["id"], times=4)
    lent.background.flush()
    private_mariadb.start()
    # The look that found it away is the last word until the next one, a second later.
    eventually(lambda: caller.get("/health").status_code == 200)
    eventually(lambda: usage_of(lent, key["id"])[0] == 5)
    caller.data(caller.post(VALIDATE, body))
    eventually(lambda: usage_of(lent, key["id"])[0] == 6)


@pytest.mark.parametrize("_migrated_database", ["mysql"], indirect=True)
def test_answer_to_the_commit_is_lost(own: Runtime, caller: Api) -> None:
    """Counts whose commit landed, though the connection was lost before it was answered, are
    written once, and so is what was counted since.
    """
    key_id = factories.api_key(caller)["id"]
    own.key_usage.add(key_id, times=3)
    with answers_to_commits_lost(own):
        own.background.flush()
    assert usage_of(own, key_id)[0] == 3
    own.key_usage.add(key_id, times=4)
    for _ in range(2):
        own.background.flush()
    assert usage_of(own, key_id)[0] == 7


@contextlib.contextmanager
def answers_to_commits_lost(runtime: Runtime) -> Iterator[None]:
    """MySQL commits, and the connection is lost before it says so."""

    def commit_and_lose(connection: Connection) -> None:
        own = connection.scalar(text("SELECT CONNECTION_ID()"))
        connection.connection.commit()
        with contextlib.closing(connect(str(runtime.database.url))) as other:
            other.cursor().execute(f"KILL {own}")

    event.listen(runtime.database.writer, "commit", commit_and_lose)
    try:
        yield
    finally:
        event.remove(runtime.database.writer, "commit", commit_and_lose)


def test_any_failure_keeps_the_counts(own: Runtime, caller: Api) -> None:
    """Counts survive a write that fails for another reason than the database being away, and so
    does what was counted since.
    """
    key_id = factories.api_key(caller)["id"]
    own.key_usage.add(key_id)
    rename(own, "api_keys", "api_keys_away")
    try:
        with contextlib.suppress(DBAPIError, DatabaseUnavailable):
            own.background.flush()
    finally:
        rename(own, "api_keys_away", "api_keys")
    own.key_usage.add(key_id, times=2)
    own.background.flush()
    assert usage_of(own, key_id)[0] == 3


def rename(runtime: Runtime, old: str, new: str) -> None:
    """Rename a table."""
    with runtime.database.writer.begin() as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_thread_survives(own: Runtime, caller: Api) -> None:
    """After a failure of any kind the thread goes on by itself."""
    key_id = factories.api_key(caller)["id"]
    rename(own, "api_keys", "api_keys_away")
    try:
        own.key_usage.add(key_id)
        tries = count_calls(own)
        eventually(lambda: len(tries) >= 2)
    finally:
        rename(own, "api_keys_away", "api_keys")
    eventually(lambda: usage_of(own, key_id)[0] == 1)


def count_calls(runtime: Runtime) -> list[None]:
    """Grows with each time that the counts are to be written."""
    calls: list[None] = []
    flush = runtime.background.flush

    def counted() -> None:
        calls.append(None)
        flush()

    runtime.background.flush = counted  # type: ignore[method-assign]
    return calls


def test_tidy_up(own: Runtime, caller: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers older than a day, retired secrets, windows that ended long ago and flushes of
    processes that did are deleted by themselves; what still counts is kept.
    """
    monkeypatch.setattr(background, "TIDY_SECONDS", 0)
    key = factories.api_key(caller, rate_limit={"limit": 5, "window_seconds": 60})
    for days in (400, 0):
        moment = datetime.now(timezone.utc) - timedelta(days=days)
        with time_machine.travel(moment, tick=True):
            leave_things_behind(own, caller, key["id"])
    eventually(lambda: rows(own, IdempotentAnswer) == 1)
    eventually(lambda: rows(own, RateWindow) == 1)
    # The current one, and the one that was replaced just now and is good for an hour.
    eventually(lambda: rows(own, ApiKeySecret) == 2)
    eventually(lambda: rows(own, KeyUsageFlush) == 1)
    begun = count_calls(own)
    eventually(lambda: len(begun) >= 2)
    assert [rows(own, model) for model in (IdempotentAnswer, RateWindow, ApiKeySecret)] == [1, 1, 2]


def leave_things_behind(runtime: Runtime, caller: Api, key_id: str) -> None:
    """An idempotent answer, a secret that retires in an hour, a rate window and a flush."""
    tag = f"{datetime.now(timezone.utc):%Y}"
    body = {"tenant_name": f"of {tag}", "tenant_type": "personal"}
    headers = {"Idempotency-Key": f"key-{tag}"}
    caller.data(caller.post("/api/v2/tenants", body, headers=headers))
    path = f"/api/v2/api-keys/{key_id}/rotate"
    caller.data(caller.post(path, {"grace_seconds": 3600}))
    window = RateWindow(subject=f"test:{tag}", started_at=datetime.now(timezone.utc), used=1)

    flush = KeyUsageFlush(id=first_id_of("flush", window.started_at))

    def add(session: Session) -> None:
        session.add_all((window, flush))

    runtime.write(add)


def test_errors_hide_values(own: Runtime) -> None:
    """What goes wrong at the database is told, and logged, without the values of the statement."""

    def fail(session: Session) -> None:
        session.execute(text("SELECT :value FROM no_such_table"), {"value": "a-password-hash"})

    with pytest.raises(DBAPIError, match="no_such_table") as error:
        own.write(fail)
    assert "a-password-hash" not in str(error.value)


def test_concurrent_start(own: Runtime) -> None:
    """However many first requests come at once, one thread is started."""
    before = sum(thread.name == "background" for thread in threading.enumerate())
    barrier = threading.Barrier(8)

    def first() -> None:
        barrier.wait(30)
        own.background.ensure()

    starters = [threading.Thread(target=first) for _ in range(8)]
    for thread in starters:
        thread.start()
    for thread in starters:
        thread.join()
    after = sum(thread.name == "background" for thread in threading.enumerate())
    assert after == before + 1
