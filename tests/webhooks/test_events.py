"""Events of agents and quotas: told once each, and on time."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import time_machine

from maimconfig.activity import service as activity
from maimconfig.activity.models import AgentActivity
from maimconfig.db.session import Session
from maimconfig.runtime import Runtime
from maimconfig.webhooks import service as webhooks
from tests import factories
from tests.api import Api
from tests.factories.webhooks import log_of, webhook
from tests.parallel import at_once, statuses, together
from tests.serving.harness import eventually

NOW = datetime(2036, 11, 24, 8, tzinfo=timezone.utc)


def told(api: Api, hook: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a webhook is told of, the oldest first."""
    log = reversed(log_of(api, hook, page_size=100))
    return [(entry["event"], entry["payload"]["data"]) for entry in log]


def test_online_and_offline(api: Api, runtime: Runtime) -> None:
    """The first heart-beat tells that an agent is online, the end of the last one that it isn't;
    each once, whatever comes between."""
    agent = factories.agent(api)
    hook = webhook(api, tenant_id=agent["tenant_id"])
    online = ("agent.online", {"agent_id": agent["id"]})
    factories.heart_beat(api, agent)  # reported active for 12 h since it was made
    assert told(api, hook) == []
    with time_machine.travel(NOW, tick=False) as clock:
        runtime.write(activity.tell_offline)  # of the beat above
        assert [event for event, _ in told(api, hook)] == ["agent.offline"]
        for _ in range(3):
            factories.heart_beat(api, agent, 60)
        assert told(api, hook)[1:] == [online]
        clock.shift(59)
        runtime.write(activity.tell_offline)
        assert told(api, hook)[2:] == []
        clock.shift(1)
        for _ in range(3):
            runtime.write(activity.tell_offline)
        seen = {"agent_id": agent["id"], "last_seen_at": "2036-11-24T08:00:00Z"}
        assert told(api, hook)[2:] == [("agent.offline", seen)]
        factories.heart_beat(api, agent, 60)
        assert told(api, hook)[3:] == [online]


def test_first_beats_at_once(api: Api, runtime: Runtime) -> None:
    """Of several first heart-beats at once one is told of."""
    agent = factories.agent(api)
    hook = webhook(api, tenant_id=agent["tenant_id"])
    runtime.write(lambda session: _forget(session, agent["id"]))
    body = {"tenant_id": agent["tenant_id"], "agent_id": agent["id"], "ttl_seconds": 60}
    calls = [lambda client: client.put("/api/v2/agent-activity", json=body) for _ in range(8)]
    assert statuses(at_once(api, calls)) == {200: 8}
    assert [event for event, _ in told(api, hook)] == ["agent.online"]


def _forget(session: Session, agent_id: str) -> None:
    session.delete(session.get_one(AgentActivity, agent_id))


def test_offline_in_time(api: Api, runtime: Runtime) -> None:
    """Some process finds by itself that an agent is offline."""
    agent = factories.agent(api)
    hook = webhook(api, tenant_id=agent["tenant_id"])
    factories.heart_beat(api, agent, 1)
    ((event, _),) = eventually(lambda: told(api, hook))
    assert event == "agent.offline"


def test_quota_exceeded(api: Api) -> None:
    """A quota that is used up is told of once a month, however many chats are refused."""
    with time_machine.travel(NOW, tick=False) as clock:
        tenant = factories.tenant(api, tenant_config={"quotas": {"tokens_per_month": 1}})
        agent = factories.agent(api, tenant["id"])
        hook = webhook(api, tenant_id=tenant["id"])
        body = {"tenant_id": tenant["id"], "agent_id": agent["id"], "message": "你好"}
        for _ in range(3):
            api.error(api.post("/api/v2/chat", body), 429, "QUOTA_001")
        data = {"quota": "tokens_per_month", "month": "2036-11", "limit": 1}
        assert told(api, hook) == [("quota.exceeded", data)]
        clock.shift(timedelta(days=30))
        api.error(api.post("/api/v2/chat", body), 429, "QUOTA_001")
        months = [data["month"] for event, data in told(api, hook) if event == "quota.exceeded"]
        assert months == ["2036-11", "2036-12"]


def test_told_while_it_is_deleted(api: Api, runtime: Runtime) -> None:
    """Who tells of something while a webhook is being deleted waits, and tells those left."""
    hook = webhook(api)
    left = webhook(api, tenant_id=hook["tenant_id"])
    deleting = threading.Event()

    def delete(session: Session) -> None:
        webhooks.remove(session, hook["id"])
        deleting.set()
        time.sleep(1)

    def tell() -> None:
        assert deleting.wait(60)
        runtime.write(lambda session: webhooks.emit(session, hook["tenant_id"], "agent.online", {}))

    together([lambda: runtime.write(delete), tell])
    assert told(api, left) == [("agent.online", {})]
