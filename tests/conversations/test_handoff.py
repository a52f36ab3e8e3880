"""Who answers: handed off, taken over by one, released, assigned to who is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from maimconfig import clock
from maimconfig.conversations import handoff, service
from maimconfig.conversations.models import Conversation, ConversationMessage, OwedReply
from maimconfig.http.errors import (
    AppError,
    ConversationTaken,
    TransitionForbidden,
    UserNotFound,
)
from maimconfig.runtime import Runtime
from maimconfig.users import presence
from maimconfig.users.models import StaffPresence, StaffTenant
from tests.factories import conversations as made
from tests.parallel import together

pytestmark = pytest.mark.usefixtures("nobody_answers")

ROUNDS = 100


@pytest.fixture
def assigning(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """A service that gives conversations to who is there and least busy."""
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, auto_assign=True))
    return runtime


def change(talk: made.Talk, how: Callable[..., None], *arguments: Any, **named: Any) -> None:
    """Change who answers."""
    talk.runtime.write(
        lambda session: how(session, service.locked(session, talk.id), *arguments, **named)
    )


def who(talk: made.Talk) -> tuple[str, str, str | None]:
    """Who answers: the type of agent, the status, the assignee."""
    now = talk.now()
    return now.current_agent_type, now.status, now.assignee_id


@pytest.mark.parametrize("word", ["我要转人工", "please, a HUMAN Agent!"])
def test_a_keyword(word: str, runtime: Runtime) -> None:
    """A contact that asks for a person waits for one, is told so, and the AI owes nothing."""
    talk = made.talk(runtime)
    talk.say("one that the AI owes")
    talk.take(talk.incoming(word), talk.incoming("hello?"))
    assert who(talk) == ("human", "pending", None)
    assert talk.now().handoff_reason == "keyword"
    assert talk.rows(OwedReply) == []
    rows = sorted(talk.rows(ConversationMessage), key=lambda row: row.position)
    assert [row.sender_type for row in rows] == ["contact"] * 3 + ["system"]
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert rows[-1].details["en"] == handoff.WAITING.en


def test_two_at_once(runtime: Runtime) -> None:
    """Of two who take over at the same moment one wins, and the other is told who."""
    people = [made.staff(runtime), made.staff(runtime)]
    for talk in made.talks(runtime, made.agent(runtime), ROUNDS):

        def take(person: str, talk: made.Talk = talk) -> str | ConversationTaken:
            try:
                change(talk, handoff.take_over, person)
            except ConversationTaken as error:
                return error
            return person

        found = together([lambda person=person: take(person) for person in people])
        (winner,) = (one for one in found if isinstance(one, str))
        (loser,) = (one for one in found if isinstance(one, AppError))
        assert loser.details["assignee_id"] == [winner]
        assert who(talk) == ("human", "open", winner)


def test_again(runtime: Runtime) -> None:
    """Who has a conversation may take it over again, which changes nothing."""
    talk, person = made.talk(runtime), made.staff(runtime)
    change(talk, handoff.take_over, person)
    before = talk.now().revision
    change(talk, handoff.take_over, person)
    assert (who(talk), talk.now().revision) == (("human", "open", person), before)


def test_a_waiting_one(runtime: Runtime) -> None:
    """What waits is open once somebody has it; why it was handed off is kept."""
    talk, person = made.talk(runtime), made.staff(runtime)
    change(talk, handoff.to_person, "requested")
    change(talk, handoff.take_over, person)
    assert who(talk) == ("human", "open", person)
    assert talk.now().handoff_reason == "requested"


def test_released(runtime: Runtime) -> None:
    """A released conversation is the AI's, open, and nobody's."""
    talk = made.talk(runtime)
    change(talk, handoff.take_over, made.staff(runtime))
    change(talk, handoff.release)
    assert who(talk) == ("ai", "open", None)


@pytest.mark.parametrize(
    "how",
    [
        lambda session, conversation: handoff.to_person(session, conversation, "requested"),
        lambda session, conversation: handoff.take_over(session, conversation, "user_x"),
        lambda session, conversation: handoff.switch(session, conversation, "human"),
    ],
)
def test_closed(how: Callable[..., None], runtime: Runtime) -> None:
    """What is closed is nobody's to answer any more."""
    talk = made.talk(runtime)
    change(talk, service.set_status, "closed")
    with pytest.raises(TransitionForbidden):
        change(talk, how)


def test_assigned(runtime: Runtime) -> None:
    """A conversation is given only to somebody active who may answer, in this tenant."""
    talk, person = made.talk(runtime), made.staff(runtime)
    elsewhere = made.staff(runtime, serves_all_tenants=False)
    for nobody in (
        "user_nope",
        elsewhere,
        made.staff(runtime, role="user"),
        made.staff(runtime, status="suspended"),
    ):
        with pytest.raises(UserNotFound):
            change(talk, handoff.assign, nobody)
    change(talk, handoff.assign, person)
    assert who(talk) == ("human", "open", person)
    listed = StaffTenant(user_id=elsewhere, tenant_id=talk.chat.tenant_id)
    runtime.write(lambda session: session.add(listed))
    change(talk, handoff.assign, elsewhere)
    assert who(talk) == ("human", "open", elsewhere)


def test_least_busy(assigning: Runtime) -> None:
    """Whoever is there and has the fewest open conversations gets the next one."""
    of = made.agent(assigning)
    here, there, away = (made.staff(assigning) for _ in range(3))
    for person in (here, there):
        assigning.write(lambda session, person=person: presence.note_seen(session, person))
    talks = made.talks(assigning, of, 4)
    for talk in talks:
        change(talk, handoff.to_person, "requested")
    assert sorted(talk.now().assignee_id for talk in talks) == sorted([here, there] * 2)
    gone = update(StaffPresence).values(seen_at=clock.now() - timedelta(minutes=5))
    assigning.write(lambda session: session.execute(gone))
    last = made.talk(assigning, of)
    change(last, handoff.to_person, "requested")
    assert last.now().assignee_id == away


def test_fair_under_a_race(assigning: Runtime) -> None:
    """Conversations that are handed off at the same moment are shared out evenly."""
    people = [made.staff(assigning) for _ in range(4)]
    talks = made.talks(assigning, made.agent(assigning), 8)
    together([lambda talk=talk: change(talk, handoff.to_person, "requested") for talk in talks])
    given = sorted(talk.now().assignee_id for talk in talks)
    assert given == sorted(people * 2)


def test_nobody_there(assigning: Runtime) -> None:
    """Without anybody who may answer a conversation waits."""
    talk = made.talk(assigning)
    change(talk, handoff.to_person, "requested")
    assert who(talk) == ("human", "pending", None)


def test_its_person_is_deleted(runtime: Runtime) -> None:
    """When its person is deleted a conversation is nobody's, and may be taken over."""
    from maimconfig.users import service as users

    talk, person, other = made.talk(runtime), made.staff(runtime), made.staff(runtime)
    change(talk, handoff.take_over, person)
    runtime.write(lambda session: users.remove(session, person))
    assert who(talk) == ("human", "open", None)
    change(talk, handoff.take_over, other)
    assert who(talk) == ("human", "open", other)


def test_transitions(runtime: Runtime) -> None:
    """Only the changes of the table are made, and when it was resolved is kept."""
    talk = made.talk(runtime)
    for status in ("pending", "open", "resolved", "open", "resolved", "closed", "closed"):
        change(talk, service.set_status, status)
        now: Conversation = talk.now()
        assert now.status == status
        assert (now.resolved_at is None) == (status in ("open", "pending"))
    for status in ("open", "pending", "resolved"):
        with pytest.raises(TransitionForbidden):
            change(talk, service.set_status, status)
