"""What is deleted for its age."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select, update

from maimconfig import background, clock, retention
from maimconfig.audit.models import AuditLog
from maimconfig.chat import streams
from maimconfig.chat.models import ChatMessage, ChatStream
from maimconfig.conversations import messages
from maimconfig.conversations.models import Conversation, ConversationMessage
from maimconfig.db.ids import first_id_of, new_id
from maimconfig.db.session import Session
from maimconfig.runtime import Runtime
from maimconfig.sessions.models import ChatSession
from maimconfig.settings import Settings
from maimconfig.usage import service as usage
from maimconfig.usage.models import UsageRecord
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Delivery
from tests import factories
from tests.api import Api
from tests.factories import conversations
from tests.factories.webhooks import log_of, webhook
from tests.serving.harness import eventually

NOW = datetime(2026, 11, 24, 8, tzinfo=timezone.utc)
DAY = timedelta(days=1)
KEPT = {"usage_retention_days": 30, "chat_retention_days": 30, "audit_retention_days": 30}


@pytest.fixture
def own(settings: Settings) -> Iterator[Runtime]:
    """A runtime that keeps everything for 30 days."""
    runtime = Runtime.open(replace(settings, **KEPT))
    yield runtime
    runtime.close()


def count(runtime: Runtime, model: Any) -> int:
    """How many rows a table has."""
    query = select(func.count()).select_from(model)
    return runtime.read(lambda session: session.scalar(query)) or 0


def log_usage(runtime: Runtime, number: int, moment: datetime) -> None:
    """Store usage of a moment."""

    def work(session: Session) -> None:
        for _ in range(number):
            usage.store(session, id=new_id("usage"), moment=moment, action="x")

    runtime.write(work)


def say(runtime: Runtime, agent: dict[str, Any], stream: str, moments: list[datetime]) -> None:
    """Keep messages of a stream."""

    def work(session: Session) -> None:
        name = streams.name_or_new({"chat_identifier": stream})
        found = streams.locked(session, agent["tenant_id"], agent["id"], name)
        for moment in moments:
            columns = {"role": "user", "content": "x", "state": "complete", "created_at": moment}
            streams.append(session, found, id=new_id("msg"), **columns)

    runtime.write(work)


@time_machine.travel(NOW, tick=False)
def test_nothing_by_default(api: Api, runtime: Runtime) -> None:
    """Without a setting everything is kept."""
    agent = factories.agent(api)
    log_usage(runtime, 1, NOW - 36_500 * DAY)
    say(runtime, agent, "s", [NOW - 36_500 * DAY])
    entries = count(runtime, AuditLog)
    assert list(retention.batches(runtime)) == []
    assert [count(runtime, model) for model in (UsageRecord, ChatMessage)] == [1, 1]
    assert count(runtime, AuditLog) == entries


@time_machine.travel(NOW, tick=False)
def test_usage(own: Runtime) -> None:
    """Usage is deleted when it is older than the days that it is kept, to the microsecond."""
    log_usage(own, 2, NOW - 30 * DAY - timedelta(microseconds=1))
    log_usage(own, 3, NOW - 30 * DAY)
    log_usage(own, 1, NOW)
    assert list(retention.batches(own)) == [2]
    assert count(own, UsageRecord) == 4


@pytest.mark.parametrize("name", KEPT)
def test_each_by_its_setting(name: str, api: Api, settings: Settings) -> None:
    """A setting is for its own kind of rows alone."""
    runtime = Runtime.open(replace(settings, **{name: 30}))
    try:
        with time_machine.travel(NOW - 31 * DAY, tick=False):
            say(runtime, factories.agent(api), "s", [clock.now()])
            log_usage(runtime, 1, clock.now())
        with time_machine.travel(NOW, tick=False):
            list(retention.batches(runtime))
        left = {
            "usage_retention_days": count(runtime, UsageRecord),
            "chat_retention_days": count(runtime, ChatMessage),
            "audit_retention_days": count(runtime, AuditLog),
        }
    finally:
        runtime.close()
    assert [kind for kind, number in left.items() if number == 0] == [name]


@time_machine.travel(NOW, tick=False)
def test_chat(api: Api, own: Runtime) -> None:
    """Old messages go; a stream goes with its last one, and stays with a younger one."""
    agent, old = factories.agent(api), NOW - 31 * DAY
    say(own, agent, "old", [old, old])
    say(own, agent, "both", [old, NOW])
    say(own, agent, "young", [NOW])
    assert sum(retention.batches(own)) == 3
    names = select(ChatStream.chat_identifier).order_by(ChatStream.chat_identifier)
    assert own.read(lambda session: session.scalars(names).all()) == ["both", "young"]
    assert count(own, ChatMessage) == 2


@time_machine.travel(NOW, tick=False)
def test_conversations(own: Runtime) -> None:
    """Old messages go; conversations go in which nothing was said since, with their sessions."""
    silent, lively = conversations.talk(own), conversations.talk(own)
    ids = [first_id_of("msg", clock.now() - 40 * DAY) + f"{number:020x}" for number in range(3)]
    silent.say("old", sender_type="ai", id=ids[0])
    lively.say("old", sender_type="ai", id=ids[1])
    lively.say("new", sender_type="ai")
    ago = {"last_activity_at": clock.now() - 31 * DAY}
    aged = update(Conversation).where(Conversation.id == silent.id).values(ago)
    own.write(lambda session: session.execute(aged))
    assert sum(retention.batches(own)) == 3
    assert [count(own, model) for model in (Conversation, ChatSession)] == [1, 1]
    (left,) = lively.rows(ConversationMessage)
    assert (left.content, left.seq) == ("new", 2)
    found = own.read(lambda session: messages.history(session, lively.id, private=False, limit=9))
    assert (found.total, found.has_more) == (1, False)


def test_batches(own: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each unit of work deletes 500 rows at most, and there is a most of them at a time."""
    assert retention.BATCH_ROWS == 500
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    log_usage(own, 45, NOW - 31 * DAY)
    assert list(retention.batches(own, at_most=2)) == [10, 10]
    assert count(own, UsageRecord) == 25
    assert list(retention.batches(own)) == [10, 10, 5]


@time_machine.travel(NOW, tick=False)
def test_stream_over_batches(api: Api, own: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream whose messages go in several batches goes with the last of them."""
    monkeypatch.setattr(retention, "BATCH_ROWS", 10)
    say(own, factories.agent(api), "s", [NOW - 31 * DAY] * 25)
    assert list(retention.batches(own)) == [10, 10, 5]
    assert count(own, ChatStream) == 0


@time_machine.travel(NOW, tick=False)
def test_meanwhile(api: Api, own: Runtime) -> None:
    """A message that is said while its stream's last ones are deleted is kept, with its stream."""
    agent = factories.agent(api)
    for number in range(5):
        say(own, agent, f"s{number}", [NOW - 31 * DAY])
    started = threading.Barrier(2)

    def speak() -> None:
        started.wait()
        for number in range(5):
            say(own, agent, f"s{number}", [NOW])

    speaker = threading.Thread(target=speak)
    speaker.start()
    started.wait()
    list(retention.batches(own))
    speaker.join()
    assert (count(own, ChatMessage), count(own, ChatStream)) == (5, 5)


def test_by_itself(own: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running service deletes what is old by itself."""
    monkeypatch.setattr(background, "TIDY_SECONDS", 0)
    log_usage(own, 3, clock.now() - 31 * DAY)
    log_usage(own, 1, clock.now())
    own.background.ensure()
    eventually(lambda: count(own, UsageRecord) == 1)


def test_deliveries(api: Api, runtime: Runtime) -> None:
    """Deliveries that were settled long ago go; what waits stays, however old it is."""
    hook = webhook(api)
    event = webhooks.Event(hook["tenant_id"], "message.created", {})
    with time_machine.travel(NOW - 31 * DAY, tick=False):
        runtime.write(lambda session: webhooks.emit_many(session, [event, event]))
    waiting, settled = (entry["id"] for entry in log_of(api, hook))
    with time_machine.travel(NOW, tick=False):
        runtime.write(lambda session: settle(session, settled, NOW - 31 * DAY))
        assert list(retention.batches(runtime)) == [1]
    assert [entry["id"] for entry in log_of(api, hook)] == [waiting]


def settle(session: Session, delivery_id: str, moment: datetime) -> None:
    """Have a delivery been made at a moment."""
    delivery = session.get_one(Delivery, delivery_id)
    delivery.status, delivery.due_at, delivery.settled_at = "delivered", None, moment
