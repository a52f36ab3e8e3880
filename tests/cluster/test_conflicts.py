"""Two nodes of a Galera cluster that take writes of the same rows at the same time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from maimconfig.agents import service as agents
from maimconfig.api_keys import service as api_keys
from maimconfig.api_keys.models import ApiKey
from maimconfig.conversations.models import ConversationMessage
from maimconfig.http.errors import AppError, DatabaseUnavailable
from maimconfig.rate_limits import service as rate_limits
from maimconfig.runtime import Runtime
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant
from maimconfig.users import service as users
from maimconfig.users.models import User
from maimconfig.webhooks import service as webhooks
from maimconfig.webhooks.models import Webhook
from tests.factories.conversations import Talk, agent, staff, talk
from tests.parallel import together
from tests.servers.galera import Galera

THREADS = 4  # a node
PATIENT = 200  # times
HOUR = timedelta(hours=1)

Work = Callable[[Runtime, int], Any]


@pytest.fixture
def contested(galera: Galera) -> Iterator[None]:
    """Fails a test in which no node was ever in another's way: it would have proven nothing."""
    before = galera.conflicts()
    yield
    assert sum(galera.conflicts().values()) > sum(before.values())


def through_both(runtimes: list[Runtime], work: Work, times: int) -> Counter[str]:
    """Do something so often on each of the threads of both nodes, at the same time.

    Args:
        work: gets a node's runtime and a number that no other call gets.

    Returns:
        how often it gave what: the value, or the error's class.
    """

    def thread(runtime: Runtime, first: int) -> list[str]:
        return [_outcome(work, runtime, first + number) for number in range(times)]

    calls = [
        lambda runtime=runtime, first=first: thread(runtime, first)
        for first, runtime in zip(range(0, 10**9, times), runtimes * THREADS, strict=False)
    ]
    return Counter(one for found in together(calls) for one in found)


def _outcome(work: Callable[[Runtime, Any], Any], runtime: Runtime, given: Any) -> str:
    for _ in range(PATIENT):
        try:
            return str(work(runtime, given))
        except DatabaseUnavailable:
            time.sleep(0.1)  # as callers do who are told to come again
        except AppError as error:
            return type(error).__name__
    return DatabaseUnavailable.__name__


def counted(runtime: Runtime, *where: Any) -> int:
    """How many rows there are, as a node sees it now."""
    return runtime.read(lambda session: session.scalar(select(func.count()).where(*where))) or 0


@pytest.mark.usefixtures("contested")
def test_limits(runtimes: list[Runtime]) -> None:
    """Of a rate limit, and of a tenant's quota, both nodes together give what there is."""

    def take(runtime: Runtime, _: int) -> bool:
        def work(session: Any) -> bool:
            return rate_limits.take(session, "key:hot", limit=150, window=HOUR).allowed

        return runtime.write(work)

    assert through_both(runtimes, take, 25) == {"True": 150, "False": 50}

    quotas = {"tenant_config": {"quotas": {"max_agents": 7}}}
    tenant_id, _ = agent(runtimes[0])
    runtimes[0].write(lambda session: tenants.change(session, tenant_id, quotas))

    def hire(runtime: Runtime, number: int) -> str:
        made = {"tenant_id": tenant_id, "name": f"agent {number}"}
        return runtime.write(lambda session: agents.create(session, **made).status)

    assert through_both(runtimes, hire, 3) == {"active": 6, "TenantQuotaExceeded": 18}


@pytest.mark.usefixtures("contested")
def test_limits_that_are_counted(runtimes: list[Runtime]) -> None:
    """A limit that is judged by counting rows under a lock holds over both nodes, though a node
    knows nothing of another's locks."""
    for _ in range(4):
        tenant_id, _ = agent(runtimes[0])

        def listen(runtime: Runtime, number: int, tenant_id: str = tenant_id) -> bool:
            made = {"tenant_id": tenant_id, "url": f"https://example.com/{number}"}
            return runtime.write(lambda session: webhooks.create(session, **made).is_active)

        found = through_both(runtimes, listen, 5)
        assert found == {"True": webhooks.MAX_WEBHOOKS, "TenantQuotaExceeded": 20}
        assert counted(runtimes[1], Webhook.tenant_id == tenant_id) == webhooks.MAX_WEBHOOKS


@pytest.mark.usefixtures("contested")
def test_last_admin(runtimes: list[Runtime]) -> None:
    """Of two administrators who demote each other at the same moment one stays."""
    for _ in range(15):
        pair = [staff(runtimes[0], role="admin") for _ in range(2)]

        def demote(runtime: Runtime, user_id: str) -> str:
            changes = {"role": "viewer"}
            return runtime.write(lambda session: users.change(session, user_id, changes).role)

        calls = zip(runtimes, reversed(pair), strict=True)
        found = together([lambda call=call: _outcome(demote, *call) for call in calls])
        assert sorted(found) == ["LastAdmin", "viewer"]
        (left,) = runtimes[0].read(
            lambda session: session.scalars(select(User.id).where(User.role == "admin")).all()
        )
        runtimes[0].write(lambda session, left=left: session.delete(session.get(User, left)))


@pytest.mark.usefixtures("contested")
def test_one_conversation(runtimes: list[Runtime]) -> None:
    """Messages of one conversation that come in at both nodes have numbers without gap or repeat,
    and a retry at the other node finds the first."""
    chat = talk(runtimes[0], agent(runtimes[0]), agent_type="human").chat
    begun = len(Talk(runtimes[0], chat).rows(ConversationMessage))

    def say(runtime: Runtime, number: int) -> str:
        content = f"message {number % 16 + number // 32 * 16}"
        return Talk(runtime, chat).say(content, client_id=content)["content"]

    outcomes = through_both(runtimes, say, 16)
    assert set(outcomes.values()) == {2}
    for runtime in runtimes:
        rows = Talk(runtime, chat).rows(ConversationMessage)
        assert sorted(row.seq for row in rows) == list(range(1, begun + 65))
        assert {row.content for row in rows[begun:]} == set(outcomes)


@pytest.mark.usefixtures("contested")
def test_unique_names(runtimes: list[Runtime]) -> None:
    """Of many who take a name at both nodes one has it, and the others hear that it is taken."""

    def make(runtime: Runtime, number: int) -> str:
        made = {"tenant_name": f"name {number % 25}", "tenant_type": "personal"}
        return runtime.write(lambda session: tenants.create(session, **made).status)

    assert through_both(runtimes, make, 25) == {"active": 25, "TenantNameTaken": 175}
    assert counted(runtimes[1], Tenant.tenant_name.startswith("name ")) == 25


@pytest.mark.usefixtures("contested")
def test_usage_counts(runtimes: list[Runtime]) -> None:
    """Key checks that both nodes' processes write at the same time are all counted."""
    tenant_id, agent_id = agent(runtimes[0])
    made = {"tenant_id": tenant_id, "agent_id": agent_id}
    keys = [
        runtimes[0].write(lambda session, name=name: api_keys.create(session, **made, name=name).id)
        for name in ("a", "b", "c")
    ]

    def use(runtime: Runtime, _: int) -> None:
        for key in keys:
            runtime.key_usage.add(key)
        runtime.background.flush()

    assert through_both(runtimes, use, 25) == {"None": 200}
    for runtime in runtimes:
        runtime.background.flush()
    for runtime in runtimes:
        stored = runtime.read(lambda session: session.scalars(
            select(ApiKey.usage_count).where(ApiKey.id.in_(keys))).all())  # fmt: skip
        assert stored == [200] * 3
