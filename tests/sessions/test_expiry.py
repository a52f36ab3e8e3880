"""Sessions become idle and expire on time, changed by one process of many."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from maimconfig import clock
from maimconfig.db import leases
from maimconfig.events import Event, Look
from maimconfig.runtime import Runtime
from maimconfig.sessions.expiry import LASTS, LEASE, expire_due
from maimconfig.sessions.models import ChatSession
from tests.factories import conversations as made
from tests.parallel import together


def rest(runtime: Runtime, minutes: float, *talks: made.Talk) -> None:
    """Let sessions be without a message for so long."""
    ago = timedelta(minutes=minutes)
    aged = update(ChatSession).where(ChatSession.id.in_([talk.chat.id for talk in talks]))
    aged = aged.values(last_activity_at=clock.now() - ago, due_at=ChatSession.due_at)
    runtime.write(lambda session: session.execute(aged))
    for talk in talks:
        (chat,) = talk.rows(ChatSession)
        if chat.due_at is not None:
            due = update(ChatSession).where(ChatSession.id == chat.id)
            runtime.write(
                lambda session, due=due, chat=chat: session.execute(
                    due.values(due_at=chat.due_at - ago)
                )
            )


def status(talk: made.Talk) -> str:
    """The status of a session now."""
    (chat,) = talk.rows(ChatSession)
    return chat.status


@pytest.mark.parametrize(
    ("minutes", "wanted"),
    [(29.9, "active"), (30.1, "idle"), (119.9, "idle"), (120.1, "expired")],
)
def test_on_time(minutes: float, wanted: str, runtime: Runtime) -> None:
    """Without a message a session is idle after 30 minutes, and expires after 2 hours."""
    talk = made.talk(runtime)
    rest(runtime, minutes, talk)
    expire_due(runtime, "one")
    assert status(talk) == wanted


def test_step_by_step(runtime: Runtime) -> None:
    """An idle session is looked at again when it expires, and then never more."""
    talk = made.talk(runtime)
    rest(runtime, 31, talk)
    assert expire_due(runtime, "one") == 1
    (chat,) = talk.rows(ChatSession)
    assert chat.due_at - chat.last_activity_at == timedelta(hours=2)
    rest(runtime, 121, talk)
    assert (expire_due(runtime, "one"), status(talk)) == (1, "expired")
    assert talk.rows(ChatSession)[0].due_at is None
    assert expire_due(runtime, "one") == 0


def test_spoken_in_meanwhile(runtime: Runtime, nobody_answers: None) -> None:
    """A session with a message is active for as long after it, though it is looked at before."""
    talk = made.talk(runtime)
    rest(runtime, 31, talk)
    talk.say()
    assert expire_due(runtime, "one") == 1
    (chat,) = talk.rows(ChatSession)
    assert chat.status == "active"
    assert chat.due_at - chat.last_activity_at == timedelta(minutes=30)


def test_listeners_are_told(runtime: Runtime) -> None:
    """Listeners are told of each change, also by the conversation's revision."""
    talk = made.talk(runtime)
    rest(runtime, 31, talk)
    before = talk.now().revision
    heard: list[Event] = []
    end = runtime.bus.subscribe(heard.append)
    expire_due(runtime, "one")
    end()
    assert heard == [Look(talk.id)]
    assert talk.now().revision == before + 1


def test_one_of_two_processes(runtime: Runtime) -> None:
    """Of two processes one does it, once for each session; the other does when that one died."""
    talks = made.talks(runtime, made.agent(runtime), 20)
    rest(runtime, 31, *talks)
    done = together([lambda name=name: expire_due(runtime, name) for name in ("one", "two")])
    assert sorted(done) == [0, 20]
    assert {talk.rows(ChatSession)[0].revision for talk in talks} == {2}
    owner = ("one", "two")[done.index(20)]
    other = ("one", "two")[done.index(0)]
    rest(runtime, 121, *talks)
    assert expire_due(runtime, other) == 0
    over = update(leases.Lease).where(leases.Lease.name == LEASE, leases.Lease.owner == owner)
    runtime.write(lambda session: session.execute(over.values(until=clock.now() - LASTS)))
    assert expire_due(runtime, other) == 20
