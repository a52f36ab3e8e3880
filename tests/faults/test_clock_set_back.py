"""What was stored before the clock was set back holds nobody up for as long as it was ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from maimconfig import clock
from maimconfig.conversations import handoff, owed
from maimconfig.conversations.models import OwedReply
from maimconfig.db import leases
from maimconfig.db.session import Session
from maimconfig.http.errors import RateLimited
from maimconfig.rate_limits import attempts
from maimconfig.rate_limits import service as limits
from maimconfig.runtime import Runtime
from maimconfig.users import presence
from tests.factories import conversations as made

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def ahead(runtime: Runtime) -> Callable[..., Any]:
    """Runs a unit of work on a clock that is an hour ahead."""

    def write(work: Callable[[Session], Any]) -> Any:
        with time_machine.travel(clock.now() + HOUR, tick=True):
            return runtime.write(work)

    return write


def test_rate_limit(runtime: Runtime, ahead: Callable[..., Any]) -> None:
    """A window that began on the clock of before has ended."""

    def take(session: Session) -> limits.RateVerdict:
        return limits.take(session, "key:k", limit=1, window=MINUTE)

    assert ahead(take).allowed
    assert not ahead(take).allowed
    assert runtime.read(
        lambda session: limits.look(session, "key:k", limit=1, window=MINUTE)
    ).remaining
    assert runtime.write(take).allowed
    assert not runtime.write(take).allowed


def test_failed_logins(runtime: Runtime, ahead: Callable[..., Any]) -> None:
    """Logins that failed, or never ended, on the clock of before refuse nobody."""

    def look(session: Session) -> list[str]:
        return attempts.look(session, ["login:x"], limit=1, window=MINUTE)

    def begin(session: Session) -> attempts.Attempt:
        return attempts.begin(session, ["login:x"], limit=1, window=MINUTE)

    failed = ahead(begin)
    ahead(lambda session: attempts.end(session, failed, failed=True))
    with pytest.raises(RateLimited):
        ahead(look)
    assert runtime.write(look) == []
    died = runtime.write(begin)
    assert died.windows


def test_lease(runtime: Runtime, ahead: Callable[..., Any]) -> None:
    """A lease that a process took on the clock of before, and died, is free."""

    def take(owner: str) -> Callable[[Session], bool]:
        return lambda session: leases.take(session, "thing", owner, timedelta(seconds=15))

    assert ahead(take("dead"))
    assert runtime.write(take("living"))
    assert not runtime.write(take("another"))


def test_owed_reply(
    runtime: Runtime, ahead: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that somebody took on the clock of before, and never made, is made by another."""
    monkeypatch.setattr(runtime.answering, "wake", lambda: None)
    talk = made.talk(runtime)
    talk.say()
    (row,) = talk.rows(OwedReply)
    assert ahead(lambda session: owed.claim(session, "dead", [row.id]))
    assert runtime.read(lambda session: owed.due(session, 9)) == [row.id]
    assert runtime.write(lambda session: owed.claim(session, "living", [row.id]))
    assert runtime.read(lambda session: owed.due(session, 9)) == []


def test_presence(runtime: Runtime, ahead: Callable[..., Any]) -> None:
    """Who was seen on the clock of before isn't there for that."""
    talk = made.talk(runtime)
    gone, here = (made.staff(runtime) for _ in range(2))
    for turn in range(2):  # whoever comes first by id must not be why
        there, other = (gone, here) if turn else (here, gone)
        ahead(lambda session, who=other: presence.note_seen(session, who))
        runtime.write(lambda session, who=there: presence.note_seen(session, who))
        found = runtime.write(lambda session: handoff._least_busy(session, talk.now()))
        assert found == there
