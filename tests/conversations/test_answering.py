"""The AI answers what it owes, once, in order, and only while it has the conversation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from structlog.testing import CapturingLogger

from maimconfig import clock
from maimconfig.chat.models import PendingReply
from maimconfig.conversations import handoff, owed, replying, service
from maimconfig.conversations.answering import Answering
from maimconfig.conversations.models import ConversationMessage, OwedReply
from maimconfig.conversations.replying import Replying
from maimconfig.events import Event, Look, Passing
from maimconfig.providers.types import Failure
from maimconfig.runtime import Runtime
from maimconfig.sessions import changes
from maimconfig.setting_types import OperatorProvider
from maimconfig.tenants import service as tenants
from maimconfig.usage.models import UsageRecord
from tests.chat.script import Script
from tests.conversations.conftest import until
from tests.factories import conversations as made
from tests.parallel import together
from tests.servers.faulty_provider import Exchange, FaultyProvider


@pytest.fixture
def answering(runtime: Runtime, nobody_answers: None) -> Iterator[Answering]:
    """One process that answers, started by hand and stopped in good order."""
    one = Answering(runtime)
    yield one
    one.close()


@pytest.fixture
def heard(runtime: Runtime) -> Iterator[list[Event]]:
    """All that is told."""
    events: list[Event] = []
    end = runtime.bus.subscribe(events.append)
    yield events
    end()


def said(talk: made.Talk, *by: str) -> list[str]:
    """What was said, in order; by all unless told otherwise."""
    rows = sorted(talk.rows(ConversationMessage), key=lambda row: row.position)
    return [row.content for row in rows if row.sender_type in (by or (row.sender_type,))]


def passing(events: list[Event]) -> list[Passing]:
    """What is told of replies that are being made."""
    return [event for event in list(events) if isinstance(event, Passing)]


def hand_over(talk: made.Talk, change: Callable[..., None], *arguments: Any) -> None:
    """Change who answers."""
    talk.runtime.write(
        lambda session: change(session, service.locked(session, talk.id), *arguments)
    )


def claimed(talk: made.Talk, owner: str = "me") -> list[owed.Owed]:
    """What a process gets that wants all the replies that are due."""
    ids = talk.runtime.read(lambda session: owed.due(session, 100))
    return talk.runtime.write(lambda session: owed.claim(session, owner, ids))


def test_it_answers(
    runtime: Runtime, script: Script, answering: Answering, heard: list[Event]
) -> None:
    """A reply is told as it comes and then stored, in answer to the message, and billed once."""
    script.steps = ["你", "好", "呀"]
    talk = made.talk(runtime)
    asked = talk.say("在吗")
    answering.start()
    until(lambda: said(talk, "ai") == ["你好呀"])
    (reply,) = (row for row in talk.rows(ConversationMessage) if row.sender_type == "ai")
    assert (reply.reply_to, reply.seq, reply.state) == (asked["id"], 2, "complete")
    assert reply.sender_id == talk.chat.agent_id
    until(lambda: heard[-1] == Look(talk.id))
    told = [event.data for event in passing(heard)]
    assert [one["delta"] for one in told] == ["你", "好", "呀", ""]
    assert {one["message_id"] for one in told} == {reply.id}
    assert [one["is_complete"] for one in told] == [False, False, False, True]
    assert talk.rows(OwedReply) == []
    (usage,) = runtime.read(
        lambda session: session.query(UsageRecord).filter_by(tenant_id=talk.chat.tenant_id).all()
    )
    assert (usage.status, usage.details["message_id"]) == ("completed", reply.id)


def test_what_it_is_told(runtime: Runtime, script: Script, answering: Answering) -> None:
    """The prompt has what was said, people's words as the agent's, but no notes and no news."""
    talk, person = made.talk(runtime), made.staff(runtime)
    talk.say("一", session_id=None, message_type="event")
    talk.say("二", sender_type="agent", sender_id=person)
    talk.say("secret", sender_type="agent", sender_id=person, is_private=True)
    talk.say("news", sender_type="system", sender_id=None)
    hand_over(talk, handoff.release)
    talk.say("三")
    answering.start()
    until(lambda: said(talk, "ai") == ["好的"])
    talking = [one for one in script.asks[0].messages if one["role"] != "system"]
    assert talking == [
        {"role": "user", "content": "一"},
        {"role": "assistant", "content": "二"},
        {"role": "user", "content": "三"},
    ]


def test_the_contact_has_left(runtime: Runtime, script: Script, answering: Answering) -> None:
    """A reply to somebody who closed the session meanwhile is stored and settled all the same."""
    talk = made.talk(runtime)
    talk.say()
    runtime.write(lambda session: changes.close(session, talk.chat.id))
    answering.start()
    until(lambda: said(talk, "ai") == ["好的"])
    assert runtime.read(lambda session: session.scalars(select(PendingReply)).all()) == []


def test_closed_meanwhile(runtime: Runtime, script: Script, answering: Answering) -> None:
    """A conversation that was closed while its reply was made stays as it was, and is billed."""
    gate = threading.Event()
    script.steps = ["too ", gate, "late"]
    talk = made.talk(runtime)
    talk.say()
    answering.start()
    until(lambda: len(script.asks) == 1)
    hand_over(talk, service.set_status, "closed")
    gate.set()
    answering.close()
    assert (said(talk, "ai"), talk.now().status) == ([], "closed")
    assert runtime.read(lambda session: session.scalars(select(PendingReply)).all()) == []


def test_in_order(runtime: Runtime, script: Script, answering: Answering) -> None:
    """Of one conversation's replies one is made at a time, in order, each to its own message."""
    talk = made.talk(runtime)
    asked = [talk.say(f"question {number}")["id"] for number in range(3)]
    answering.start()
    until(lambda: len(said(talk, "ai")) == 3)
    rows = sorted(talk.rows(ConversationMessage), key=lambda row: row.position)
    assert [row.reply_to for row in rows if row.sender_type == "ai"] == asked
    lasts = [ask.messages[-1]["content"] for ask in script.asks]
    assert lasts == ["question 0", "question 1", "question 2"]
    assert "question 2" not in str(script.asks[0].messages)


def test_two_processes(runtime: Runtime, nobody_answers: None) -> None:
    """Of two processes that want the same replies each gets some, and none is got by both."""
    talks = [made.talk(runtime) for _ in range(10)]
    for talk in talks:
        talk.say()
    found = together([lambda owner=owner: claimed(talks[0], owner) for owner in ("a", "b", "c")])
    ids = [reply.id for mine in found for reply in mine]
    assert len(ids) == len(set(ids)) == 10


def test_a_dead_process(runtime: Runtime, script: Script, answering: Answering) -> None:
    """What a process claimed that died is made by another once its lease is over, and once."""
    talk = made.talk(runtime)
    talk.say()
    assert len(claimed(talk, "dead")) == 1
    answering.start()
    assert claimed(talk, "eager") == []
    over = update(OwedReply).values(leased_until=clock.now() - timedelta(seconds=1))
    runtime.write(lambda session: session.execute(over))
    until(lambda: said(talk, "ai") == ["好的"])
    assert len(script.asks) == 1


def test_taken_for_dead(runtime: Runtime, script: Script, nobody_answers: None) -> None:
    """A process whose lease was taken by another throws its reply away, though it is billed."""
    talk = made.talk(runtime)
    talk.say()
    (slow,) = claimed(talk, "slow")
    over = update(OwedReply).values(leased_until=clock.now() - timedelta(seconds=1))
    runtime.write(lambda session: session.execute(over))
    (quick,) = claimed(talk, "quick")
    Replying(runtime, "slow", slow).make()
    assert said(talk, "ai") == []
    Replying(runtime, "quick", quick).make()
    assert said(talk, "ai") == ["好的"]
    assert len(script.asks) == 2


def test_a_hundred_late_ones(runtime_with: Callable[..., Runtime], nobody_answers: None) -> None:
    """None of a hundred replies appears that come after a person has taken over."""
    gate = threading.Event()

    async def too_late(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.delta("too ")
        while not gate.is_set():
            await asyncio.sleep(0.05)
        await exchange.delta("late", "stop")
        await exchange.end_stream()

    with FaultyProvider() as provider:
        provider.default = too_late
        account = OperatorProvider("sk-late", provider.base_url, "late")
        runtime = runtime_with(openai=account, conversation_replies=100)
        heard: list[Event] = []
        runtime.bus.subscribe(heard.append)
        of, person = made.agent(runtime), made.staff(runtime)
        talks = made.talks(runtime, of, 100)
        for talk in talks:
            talk.say()
        answering = Answering(runtime)
        answering.start()
        until(lambda: len({one.data["message_id"] for one in passing(heard)}) == 100)
        for talk in talks:
            hand_over(talk, handoff.take_over, person)
        gate.set()
        answering.close()
        assert len(provider.requests) == 100
    assert [said(talk, "ai") for talk in talks] == [[]] * 100
    assert [talk.rows(OwedReply) for talk in talks] == [[]] * 100
    # Those who saw the beginning are told that nothing comes of it.
    ended = [one.data for one in passing(heard) if one.data["is_complete"]]
    assert len(ended) == 100
    assert all(one["discarded"] for one in ended)


def test_release(runtime: Runtime, script: Script, answering: Answering) -> None:
    """While a person has a conversation the AI keeps silent, and after release it answers."""
    talk = made.talk(runtime)
    hand_over(talk, handoff.take_over, made.staff(runtime))
    talk.say("to the person")
    answering.start()
    assert talk.rows(OwedReply) == []
    hand_over(talk, handoff.release)
    talk.say("to the AI")
    until(lambda: said(talk, "ai") == ["好的"])
    assert len(script.asks) == 1


@pytest.mark.parametrize("steps", [[Failure.UNAVAILABLE], ["half a ", Failure.UNAVAILABLE]])
def test_provider_fails(
    steps: list[Any], runtime: Runtime, script: Script, answering: Answering
) -> None:
    """When no provider answers a person has to, and both sides are told; what was said is kept."""
    script.steps = steps
    talk = made.talk(runtime)
    talk.say()
    answering.start()
    until(lambda: talk.now().current_agent_type == "human")
    assert (talk.now().status, talk.now().handoff_reason) == ("pending", "provider_failed")
    assert said(talk, "system") == [str(handoff.WAITING)]
    partial = [row.state for row in talk.rows(ConversationMessage) if row.sender_type == "ai"]
    assert partial == ["partial"] * (len(steps) - 1)
    assert talk.rows(OwedReply) == []


@pytest.mark.parametrize("bugs", [1, replying.MAX_ATTEMPTS])
def test_bug(
    bugs: int, runtime: Runtime, script: Script, answering: Answering,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An error of our own is logged, and the reply tried again; after three a person has to."""
    log, complete, left = CapturingLogger(), replying.chat.complete, iter(range(bugs))

    def sometimes(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is None:
            return complete(*arguments, **options)
        raise RuntimeError("a bug")

    monkeypatch.setattr(replying, "log", log)
    monkeypatch.setattr(replying, "REST", timedelta(0))
    monkeypatch.setattr(replying.chat, "complete", sometimes)
    script.steps = ["好的"]
    talk = made.talk(runtime)
    talk.say()
    owed_id = talk.rows(OwedReply)[0].id
    answering.start()
    until(lambda: talk.rows(OwedReply) == [])
    told = [(call.method_name, call.args, call.kwargs) for call in log.calls]
    assert told == [("exception", ("reply.failed",), {"owed_id": owed_id})] * bugs
    answered = bugs < replying.MAX_ATTEMPTS
    assert said(talk, "ai") == ["好的"] * answered
    assert talk.now().handoff_reason == (None if answered else "provider_failed")


def test_quota(runtime: Runtime, script: Script, answering: Answering) -> None:
    """When the tenant's quota is used up a person has to answer."""
    talk = made.talk(runtime)
    quotas = {"quotas": {"tokens_per_month": 0}}
    runtime.write(
        lambda session: tenants.change(session, talk.chat.tenant_id, {"tenant_config": quotas})
    )
    talk.say()
    answering.start()
    until(lambda: talk.now().handoff_reason == "quota_exceeded")
    assert script.asks == []


def test_tenant_suspended(runtime: Runtime, script: Script, answering: Answering) -> None:
    """A suspended tenant's AI says nothing more."""
    talk = made.talk(runtime)
    runtime.write(
        lambda session: tenants.change(session, talk.chat.tenant_id, {"status": "suspended"})
    )
    talk.say()
    answering.start()
    until(lambda: talk.now().handoff_reason == "not_active")
    assert script.asks == []


def test_filtered(runtime: Runtime, script: Script, answering: Answering) -> None:
    """What the content filter refuses isn't answered, and nothing is owed."""
    words = {"config_overrides": {"message_receive": {"ban_words": ["坏话"]}}}
    talk = made.talk(runtime, made.agent(runtime, config=words))
    talk.say("说坏话")
    answering.start()
    until(lambda: talk.rows(OwedReply) == [])
    assert (said(talk, "ai"), talk.now().current_agent_type) == ([], "ai")
    assert script.asks == []


def test_stopped(runtime: Runtime, script: Script, nobody_answers: None) -> None:
    """A process that stops finishes what it can, and leaves the rest to others at once."""
    script.steps = ["never ", threading.Event(), "ends"]
    talk = made.talk(runtime)
    talk.say()
    stopping = Answering(runtime)
    stopping.start()
    until(lambda: len(script.asks) == 1)
    stopping.drain()
    stopping._until = 0.0  # the drain's time is over
    stopping.close()
    assert said(talk, "ai") == []
    script.steps = ["好的"]
    (left,) = claimed(talk, "other")
    Replying(runtime, "other", left).make()
    assert said(talk, "ai") == ["好的"]


def test_nothing_is_left_reserved(runtime: Runtime, script: Script, answering: Answering) -> None:
    """Whatever became of a reply, it is settled."""
    script.steps = [Failure.UNAVAILABLE]
    talk = made.talk(runtime)
    talk.say()
    answering.start()
    until(lambda: talk.now().current_agent_type == "human")
    answering.close()
    assert runtime.read(lambda session: session.scalars(select(PendingReply)).all()) == []
