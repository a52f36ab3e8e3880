"""Messages are numbered, counted, refused, repeated and answered for as they come in."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from maimconfig import clock
from maimconfig.conversations import service
from maimconfig.conversations.intake import Stored
from maimconfig.conversations.models import ConversationMessage, OwedReply
from maimconfig.events import Event, Look
from maimconfig.http.errors import (
    ConversationNotFound,
    ConversationTaken,
    SessionClosed,
    TransitionForbidden,
)
from maimconfig.runtime import Runtime
from maimconfig.sessions.models import ChatSession
from tests.factories import conversations as made
from tests.parallel import together

pytestmark = pytest.mark.usefixtures("nobody_answers")


def set_status(talk: made.Talk, status: str) -> None:
    """Change a conversation's status."""
    talk.runtime.write(
        lambda session: service.set_status(session, service.locked(session, talk.id), status)
    )


def seqs(talk: made.Talk) -> list[int]:
    """The numbers of what the contact sees."""
    rows = talk.rows(ConversationMessage)
    return sorted(row.seq for row in rows if row.seq is not None)


def test_one_after_the_other(runtime: Runtime) -> None:
    """Messages have seq 1, 2, 3 over what the contact sees, and a note takes none."""
    talk, person = made.talk(runtime), made.staff(runtime)
    note = {"sender_type": "agent", "sender_id": person, "is_private": True}
    stored = talk.take(
        talk.incoming("a"), talk.incoming("b", **note), talk.incoming("c"), talk.incoming("d")
    )
    assert [(one.message["seq"], one.position) for one in stored] == [
        (1, 1), (None, 2), (2, 3), (3, 4),
    ]  # fmt: skip
    assert (talk.now().next_seq, talk.now().next_position) == (4, 5)


def test_twenty_threads(runtime: Runtime) -> None:
    """Twenty threads that write into one conversation leave seq 1 to n without a gap."""
    talk, other = made.talk(runtime), made.talk(runtime)
    numbers = itertools.count()

    def write() -> None:
        for _ in range(5):
            number = next(numbers)
            both = [talk.incoming(f"{number}"), other.incoming(f"{number}")]
            # In either order: the conversations are locked in one.
            talk.take(*(both if number % 2 else both[::-1]))

    together([write] * 20)
    assert seqs(talk) == seqs(other) == list(range(1, 101))


def test_a_retry(runtime: Runtime) -> None:
    """A client_id that was seen gets the first answer again, in one batch as later."""
    talk = made.talk(runtime)
    message = talk.incoming("once", client_id="c1")
    first, within = talk.take(message, message)
    (later,) = talk.take(talk.incoming("whatever else", client_id="c1"))
    assert isinstance(first, Stored)
    assert [one.repeated for one in (first, within, later)] == [False, True, True]
    assert first.message == within.message == later.message
    assert len(talk.rows(ConversationMessage)) == len(talk.rows(OwedReply)) == 1


def test_retries_together(runtime: Runtime) -> None:
    """Of ten retries at the same moment one is stored, and all get its answer."""
    talk = made.talk(runtime)
    answers = together([lambda: talk.say("once", client_id="c1")] * 10)
    assert len({answer["id"] for answer in answers}) == 1
    assert seqs(talk) == [1]


def test_a_client_id_is_its_senders(runtime: Runtime) -> None:
    """Two senders may use the same client_id, and two conversations too."""
    talk, other, person = made.talk(runtime), made.talk(runtime), made.staff(runtime)
    talk.say("a", client_id="c1")
    other.say("a", client_id="c1")
    talk.say("b", client_id="c1", sender_type="agent", sender_id=person)
    assert (seqs(talk), seqs(other)) == ([1, 2], [1])


def test_refused(runtime: Runtime) -> None:
    """What can't be stored says why, and harms none of the others."""
    talk, foreign, ended, closed = (made.talk(runtime) for _ in range(4))
    set_status(closed, "closed")
    end = update(ChatSession).where(ChatSession.id == ended.chat.id).values(status="closed")
    runtime.write(lambda session: session.execute(end))
    found = talk.take(
        talk.incoming("nowhere", conversation_id="conv_nope"),
        foreign.incoming("another tenant's", tenant_id=talk.chat.tenant_id),
        ended.incoming(),
        closed.incoming(),
        talk.incoming("fine"),
    )
    assert [type(one) for one in found] == [
        ConversationNotFound, ConversationNotFound, SessionClosed, TransitionForbidden, Stored,
    ]  # fmt: skip
    assert seqs(foreign) == seqs(ended) == seqs(closed) == []


def test_a_resolved_one_opens_again(runtime: Runtime) -> None:
    """A contact's message opens what was resolved, and is owed a reply."""
    talk = made.talk(runtime)
    set_status(talk, "resolved")
    assert talk.now().resolved_at is not None
    talk.say()
    assert (talk.now().status, talk.now().resolved_at) == ("open", None)
    assert len(talk.rows(OwedReply)) == 1


@pytest.mark.parametrize(
    ("given", "owed"),
    [({}, 1), ({"message_type": "event"}, 0), ({"sender_type": "ai"}, 0),
     ({"sender_type": "system", "sender_id": None}, 0)],
)  # fmt: skip
def test_what_is_owed(given: dict[str, Any], owed: int, runtime: Runtime) -> None:
    """The AI owes a reply to what the contact says, and to nothing else."""
    talk = made.talk(runtime)
    talk.say("x", **given)
    assert len(talk.rows(OwedReply)) == owed


def test_unread(runtime: Runtime) -> None:
    """Each side's unread messages are counted, until it writes or says that it has read."""
    talk, person = made.talk(runtime), made.staff(runtime)
    by_staff = {"sender_type": "agent", "sender_id": person}
    talk.say()
    talk.say()
    assert (talk.now().unread_staff, talk.now().unread_contact) == (2, 0)
    talk.say("a", **by_staff)
    talk.say("b", **by_staff)
    talk.say("note", **by_staff, is_private=True)
    assert (talk.now().unread_staff, talk.now().unread_contact) == (0, 2)

    def read(seq: int) -> int:
        ids = (talk.id, talk.chat.tenant_id)
        return runtime.write(lambda session: service.mark_read(session, *ids, "contact", seq))

    assert read(3) == 3
    assert talk.now().unread_contact == 1
    assert (read(99), read(1)) == (4, 4)
    assert talk.now().unread_contact == 0


def test_first_reply(runtime: Runtime) -> None:
    """Who replied, and when first, is kept; what the contact and the system say isn't a reply."""
    talk = made.talk(runtime)
    talk.say()
    talk.say("x", sender_type="system", sender_id=None)
    assert talk.now().first_reply_at is None
    talk.say("ai", sender_type="ai")
    first = talk.now().first_reply_at
    talk.say("person", sender_type="agent", sender_id=made.staff(runtime))
    assert talk.now().first_reply_at == first
    assert (talk.now().handled_by_ai, talk.now().handled_by_human) == (True, True)


def test_writing_takes_over(runtime: Runtime) -> None:
    """Who answers in what nobody has takes it over; in what somebody has, it is refused."""
    talk, one, other = made.talk(runtime), made.staff(runtime), made.staff(runtime)
    talk.say("a question")
    mine, theirs = talk.take(
        talk.incoming("mine", sender_type="agent", sender_id=one),
        talk.incoming("not mine", sender_type="agent", sender_id=other),
    )
    assert isinstance(mine, Stored)
    assert isinstance(theirs, ConversationTaken)
    assert theirs.details["assignee_id"] == [one]
    now = talk.now()
    assert (now.assignee_id, now.current_agent_type, now.status) == (one, "human", "open")
    assert talk.rows(OwedReply) == []


def test_taken_over_in_the_same_batch(runtime: Runtime) -> None:
    """What a contact says and a person answers in one batch is owed no reply, and is open."""
    talk, person = made.talk(runtime), made.staff(runtime)
    set_status(talk, "resolved")
    answer = {"sender_type": "agent", "sender_id": person}
    talk.take(talk.incoming("a question"), talk.incoming("an answer", **answer))
    assert talk.rows(OwedReply) == []
    now = talk.now()
    assert (now.status, now.resolved_at, now.assignee_id) == ("open", None, person)
    assert seqs(talk) == [1, 2]


def test_a_message_wakes_the_session(runtime: Runtime) -> None:
    """A message makes an idle session active, whose time begins anew."""
    talk = made.talk(runtime)
    before = clock.now() - timedelta(minutes=45)
    idle = update(ChatSession).where(ChatSession.id == talk.chat.id)
    idle = idle.values(status="idle", last_activity_at=before, due_at=before)
    runtime.write(lambda session: session.execute(idle))
    talk.say()
    (chat,) = talk.rows(ChatSession)
    assert chat.status == "active"
    assert chat.last_activity_at > before + timedelta(minutes=44)
    assert chat.due_at - chat.last_activity_at == timedelta(minutes=30)


def test_listeners_are_told_once_it_is_there(runtime: Runtime) -> None:
    """Listeners are told to look after the commit, when they see what they were told of."""
    talk = made.talk(runtime)
    seen: list[tuple[Event, list[int]]] = []
    end = runtime.bus.subscribe(lambda event: seen.append((event, seqs(talk))))
    talk.say()
    end()
    assert seen == [(Look(talk.id), [1])]
