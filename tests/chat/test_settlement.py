"""A reply is settled once, whatever happens between its two transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from maimconfig import clock
from maimconfig.chat import service, settlement
from maimconfig.chat.models import ChatMessage, ChatStream, MonthlyUse, PendingReply
from maimconfig.chat.running import RunningReply
from maimconfig.chat.streams import name_or_new
from maimconfig.chat.wanted import Caller, Ended
from maimconfig.db.types import Money
from maimconfig.http.errors import DatabaseUnavailable, MessageDropped, NoProviderAnswered
from maimconfig.providers.types import Failure
from maimconfig.runtime import Runtime
from maimconfig.usage.models import UsageRecord
from tests import factories
from tests.api import Api
from tests.chat.script import TARGET, Script

URL = "/api/v2/chat"
Rows = Callable[..., list[Any]]


@pytest.fixture
def agent(api: Api) -> dict[str, Any]:
    """An agent."""
    return factories.agent(api)


def begun(runtime: Runtime, agent: dict[str, Any], **given: Any) -> RunningReply:
    """A reply under way, to a message of a stream."""
    named = {"user_id": "u", **given}
    asked = service.Asked("你好", name_or_new(named), message_id=given.get("message_id"))
    reply = service.ask(runtime, Caller(agent["tenant_id"], agent["id"]), asked)
    assert isinstance(reply, RunningReply)
    return reply


def kept(rows: Rows, tenant_id: str) -> list[tuple[str, str, str]]:
    """The messages of a tenant: role, state, content."""
    return [(row.role, row.state, row.content) for row in rows(ChatMessage, tenant_id)]


def test_between(runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows) -> None:
    """While a provider is asked the message is kept, the most it may use is reserved, and no
    usage is told yet."""
    reply = begun(runtime, agent)
    assert kept(rows, agent["tenant_id"]) == [("user", "pending", "你好")]
    (pending,) = rows(PendingReply, agent["tenant_id"])
    (month,) = rows(MonthlyUse, agent["tenant_id"])
    assert month.tokens == pending.tokens == script.estimate(()) + 1024
    assert rows(UsageRecord, agent["tenant_id"]) == []
    reply.close()


def test_given_up(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """A reply that nobody waits for is cancelled; its text is kept as partial, and billed."""
    script.steps = ["前半", threading.Event(), "后半"]
    reply = begun(runtime, agent)
    assert reply.next(5).content == "前半"
    assert reply.next(0.01) is None
    reply.close()
    reply.close()
    assert script.cancelled == 1
    assert kept(rows, agent["tenant_id"])[1] == ("assistant", "partial", "前半")
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.status, used.is_error, used.tokens_out, used.estimated) == (
        "aborted", False, 2, True,
    )  # fmt: skip
    assert settled(agent["tenant_id"])


def test_broken_in_the_middle(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows
) -> None:
    """What came before a reply broke is kept as partial, and billed."""
    script.steps = ["前半", Failure.BROKEN]
    reply = begun(runtime, agent)
    with pytest.raises(NoProviderAnswered):
        reply.wait()
    reply.close()
    assert kept(rows, agent["tenant_id"]) == [
        ("user", "failed", "你好"), ("assistant", "partial", "前半"),
    ]  # fmt: skip
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.status, used.tokens_out) == ("failed", 2)
    assert used.cost > 0


class TestDeadProcess:
    """A process that died between the two transactions."""

    def test_tidied(
        self, runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
        settled: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """Its reply is settled as failed once it has expired, by whoever tidies up, and once."""
        begun(runtime, agent, message_id="m")
        assert settlement.settle_abandoned(runtime) == 0
        later = clock.now() + timedelta(seconds=30) + settlement.GRACE + timedelta(seconds=1)
        with time_machine.travel(later, tick=False):
            assert settlement.settle_abandoned(runtime) == 1
            assert settlement.settle_abandoned(runtime) == 0
        (used,) = rows(UsageRecord, agent["tenant_id"])
        assert (used.status, used.is_error, used.tokens_in, used.cost) == ("failed", True, 0, 0)
        assert used.details["failure"] == "lost"
        assert used.moment < later - timedelta(minutes=1)
        assert kept(rows, agent["tenant_id"]) == [("user", "failed", "你好")]
        assert settled(agent["tenant_id"])

    def test_in_the_background(
        self, runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows
    ) -> None:
        """What a process does beside its requests settles them too."""
        begun(runtime, agent)
        with time_machine.travel(clock.now() + timedelta(minutes=6), tick=False):
            runtime.background._tidy()
        assert [row.status for row in rows(UsageRecord, agent["tenant_id"])] == ["failed"]
        assert rows(PendingReply, agent["tenant_id"]) == []

    @pytest.mark.parametrize("tidied", [False, True])
    def test_retried(
        self, tidied: bool, api: Api, runtime: Runtime, agent: dict[str, Any], script: Script,
        rows: Rows, settled: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """Its message may be sent again as soon as it has expired, tidied up or not."""
        begun(runtime, agent, message_id="m")
        body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "message": "你好",
                "user_id": "u", "message_id": "m"}  # fmt: skip
        api.error(api.post(URL, body), 409, "CHAT_005")
        with time_machine.travel(clock.now() + timedelta(minutes=6), tick=False):
            if tidied:
                settlement.settle_abandoned(runtime)
            assert api.data(api.post(URL, body))["response"] == "好的"
        assert [row.status for row in rows(UsageRecord, agent["tenant_id"])] == [
            "failed", "completed",
        ]  # fmt: skip
        assert [row.seq for row in rows(ChatMessage, agent["tenant_id"])] == [1, 2]
        assert settled(agent["tenant_id"])

    def test_not_dead_after_all(
        self, runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows
    ) -> None:
        """A process that was only slow settles nothing a second time, and answers all the same."""
        reply = begun(runtime, agent)
        with time_machine.travel(clock.now() + timedelta(minutes=6), tick=False):
            settlement.settle_abandoned(runtime)
        assert reply.wait().text == "好的"
        assert len(rows(UsageRecord, agent["tenant_id"])) == 1


def test_database_away(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    monkeypatch: pytest.MonkeyPatch, settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """A reply that ends while the database is away is told, and settled when it is back."""
    reply = begun(runtime, agent)

    def away(*_: Any) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(runtime, "write", away)
        assert reply.wait().text == "好的"
        runtime.unsettled.settle_waiting(runtime)
    assert rows(UsageRecord, agent["tenant_id"]) == []
    runtime.unsettled.settle_waiting(runtime)
    assert len(rows(UsageRecord, agent["tenant_id"])) == 1
    assert settled(agent["tenant_id"])


def test_only_one_settles(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """Of many that settle a reply at once one does, and the month is corrected once."""
    pending_id = begun(runtime, agent).admitted.pending_id
    start, won = threading.Barrier(8), []

    def work(number: int) -> None:
        start.wait(10)
        ended = Ended(f"{number}", "completed", clock.now(), tokens_in=5, cost=Decimal("0.5"))
        won.append(runtime.write(lambda session: settlement.settle(session, pending_id, ended)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    assert len(rows(UsageRecord, agent["tenant_id"])) == 1
    assert len(rows(ChatMessage, agent["tenant_id"])) == 2
    assert settled(agent["tenant_id"])


class TestGone:
    """What was deleted while a provider was asked."""

    @pytest.mark.parametrize("what", ["history", "agent"])
    def test_stream(
        self, what: str, api: Api, runtime: Runtime, agent: dict[str, Any], script: Script,
        rows: Rows, settled: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """A reply whose stream or agent is gone is billed, and not kept."""
        reply = begun(runtime, agent)
        if what == "agent":
            api.data(api.delete(f"/api/v2/agents/{agent['id']}"))
        else:
            query = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "user_id": "u"}
            api.data(api.delete(f"{URL}/history", query_string=query))
        assert reply.wait().text == "好的"
        assert rows(ChatMessage) == rows(ChatStream) == []
        (used,) = rows(UsageRecord, agent["tenant_id"])
        assert (used.status, used.agent_id) == ("completed", agent["id"])
        assert settled(agent["tenant_id"])

    def test_tenant(
        self, api: Api, runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows
    ) -> None:
        """A reply whose tenant is gone is told, and leaves nothing."""
        reply = begun(runtime, agent)
        api.data(api.delete(f"/api/v2/tenants/{agent['tenant_id']}"))
        assert reply.wait().text == "好的"
        for table in (ChatMessage, ChatStream, PendingReply, MonthlyUse, UsageRecord):
            assert rows(table) == []


def test_month_of_the_question(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows
) -> None:
    """A reply that ends in the next month counts in the month in which it was asked for."""
    last = datetime(2036, 1, 31, 23, 59, 59, tzinfo=timezone.utc)
    with time_machine.travel(last, tick=False) as traveller:
        reply = begun(runtime, agent)
        traveller.shift(2)
        reply.wait()
    (month,) = rows(MonthlyUse, agent["tenant_id"])
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (month.month, used.day) == ("2036-01", "2036-01-31")
    assert month.tokens == used.tokens_in + used.tokens_out


def test_old_months(runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows) -> None:
    """Counters of months that ended long ago are deleted, and no usage row with them."""
    begun(runtime, agent).wait()
    runtime.write(settlement.forget_old_months)
    assert len(rows(MonthlyUse)) == 1
    with time_machine.travel(clock.now() + timedelta(days=400), tick=False):
        runtime.write(settlement.forget_old_months)
    assert rows(MonthlyUse) == []
    assert len(rows(UsageRecord)) == 1


def test_prices(
    api: Api, runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A usage row keeps the prices that it was counted with; a month in which they changed has an
    item for each pair."""
    begun(runtime, agent).wait()
    dearer = replace(TARGET, price_in=Decimal("2.5"))
    monkeypatch.setattr("tests.chat.script.TARGET", dearer)
    begun(runtime, agent).wait()
    used = rows(UsageRecord, agent["tenant_id"])
    assert [(row.price_in, row.price_out) for row in used] == [(2, 6), (Decimal("2.5"), 6)]
    for row in used:
        tokens = row.tokens_in * row.price_in + row.tokens_out * row.price_out
        assert row.cost == tokens / 1_000_000
    told = api.data(api.get(f"/api/v2/tenants/{agent['tenant_id']}/billing"))
    assert [(item["price_in"], item["requests"]) for item in told["items"]] == [
        ("2", 1),
        ("2.5", 1),
    ]
    assert Decimal(told["total"]["cost"]) == sum(row.cost for row in used)


def test_absurd_price(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A price beyond all measure costs no more than can be stored, and the reply is settled."""
    absurd = replace(TARGET, price_in=Decimal("1e25"))
    monkeypatch.setattr("tests.chat.script.TARGET", absurd)
    begun(runtime, agent).wait()
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.status, used.cost) == ("completed", Money.MOST)


def test_no_prices(runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows) -> None:
    """A reply that was lost has no prices."""
    pending = begun(runtime, agent).admitted.pending_id
    assert runtime.write(
        lambda session: settlement.settle(session, pending, settlement.failed("lost"))
    )
    (used,) = rows(UsageRecord, agent["tenant_id"])
    assert (used.price_in, used.price_out, used.cost) == (None, None, 0)


def test_messages_of_the_caller(
    runtime: Runtime, agent: dict[str, Any], script: Script, rows: Rows,
    settled: Callable[[str], bool],
) -> None:  # fmt: skip
    """`complete` answers messages that the caller keeps itself: nothing is stored but the usage."""
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    caller = Caller(agent["tenant_id"], agent["id"])
    reply = service.complete(
        runtime, caller, messages, streamed=False, max_tokens=5, params={"top_p": 0.5}
    )
    assert reply.wait().text == "好的"
    assert script.asks[0].messages == messages
    assert (script.asks[0].max_tokens, script.asks[0].params) == (5, {"top_p": 0.5})
    assert rows(ChatMessage) == rows(ChatStream) == []
    assert len(rows(UsageRecord, agent["tenant_id"])) == 1
    assert settled(agent["tenant_id"])


def test_filter_of_the_callers_messages(api: Api, runtime: Runtime, script: Script) -> None:
    """The agent's persona is put in front of the caller's messages, and its filter holds."""
    rules = {"message_receive": {"ban_words": ["广告"]}}
    config = {"persona": "你是猫", "config_overrides": rules}
    agent = factories.agent(api, config=config)
    caller = Caller(agent["tenant_id"], agent["id"])
    said = [{"role": "user", "content": "你好"}]
    service.complete(runtime, caller, said, streamed=False).wait()
    assert script.asks[0].messages == [{"role": "system", "content": "你是猫"}, *said]
    bad = [{"role": "user", "content": [{"type": "text", "text": "卖广告"}]}]
    with pytest.raises(MessageDropped):
        service.complete(runtime, caller, bad, streamed=False)
