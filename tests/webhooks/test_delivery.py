"""Deliveries to a real receiver: signed, at least once, and nobody's trouble is another's."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from maimconfig import clock
from maimconfig.app import create_app
from maimconfig.db.session import Session
from maimconfig.runtime import Runtime
from maimconfig.settings import Settings
from maimconfig.webhooks import attempt, deliveries, outbox, places, schedule, service
from maimconfig.webhooks.models import Delivery, Webhook
from tests import factories
from tests.api import Api
from tests.factories.webhooks import hurry, log_of, webhook
from tests.parallel import together
from tests.servers.service import LiveService
from tests.serving.harness import eventually
from tests.webhooks.receiver import (
    Receiver,
    cut,
    endless,
    garbage,
    redirect,
    silent,
    status,
)

Emit = Callable[..., None]
# How many events the test of a killed sender has; a longer run may ask for more.
KILLED_EVENTS = int(os.environ.get("MAIMCONFIG_TEST_WEBHOOK_EVENTS", "40"))


def settled(api: Api, hook: dict[str, Any], number: int = 1) -> list[dict[str, Any]]:
    """A webhook's deliveries, once so many have been attempted."""

    def attempted() -> list[dict[str, Any]]:
        log = log_of(api, hook, page_size=100)
        return log if sum(one["last_attempt_at"] is not None for one in log) >= number else []

    return eventually(attempted)


def failing_since(runtime: Runtime, hook: dict[str, Any], ago: timedelta) -> None:
    """Have a webhook fail since some time."""
    since = update(Webhook).where(Webhook.id == hook["id"])
    since = since.values(failing_since=clock.now() - ago)
    runtime.write(lambda session: session.execute(since) and None)


def test_signed(hooks: Api, emit: Emit, receiver: Receiver) -> None:
    """A receiver gets what was told, and the reference library takes it for genuine."""
    hook = webhook(hooks, receiver.url("/hook?a=1"))
    emit(hook["tenant_id"], text="你好 😀")
    (received,) = receiver.wait(1)
    payload = received.verify(hook["secret"])
    assert received.path == "/hook?a=1"
    assert received.headers["content-type"] == "application/json"
    assert payload.keys() == {"type", "timestamp", "tenant_id", "data"}
    assert (payload["type"], payload["data"]) == ("message.created", {"text": "你好 😀"})
    (entry,) = settled(hooks, hook)
    assert (entry["id"], entry["payload"]) == (received.id, payload)
    assert (entry["status"], entry["attempts"], entry["error"]) == ("delivered", 1, None)
    assert (entry["response_status"], entry["next_attempt_at"]) == (200, None)


def test_again(hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime) -> None:
    """What fails is tried again by itself under the same id, signed anew, until it succeeds."""
    failures = {
        "500": (status(500), "status", 500),
        "404": (status(404), "status", 404),
        "302": (status(302, location="http://127.0.0.1:1/"), "redirect", 302),
        "cut": (cut, "broken", None),
        "garbage": (garbage, "broken", None),
        "endless": (endless(503), "status", 503),
    }
    made = {}
    for name, (answer, _, _) in failures.items():
        made[name] = webhook(hooks, receiver.url(f"/{name}"))
        receiver.by_path[f"/{name}"] = answer
        emit(made[name]["tenant_id"], of=name)
    for name, (_, error, code) in failures.items():
        (entry,) = settled(hooks, made[name])
        assert (entry["error"], entry["response_status"]) == (error, code), name
        assert entry["next_attempt_at"] > entry["last_attempt_at"]
        assert hooks.data(hooks.get(f"/api/v2/webhooks/{made[name]['id']}"))["failing_since"]
    receiver.by_path.clear()
    for name, hook in made.items():
        (entry,) = eventually(lambda hook=hook: log_of(hooks, hook, status="delivered"))
        assert entry["attempts"] >= 2
        assert entry["error"] is None
        assert hooks.data(hooks.get(f"/api/v2/webhooks/{hook['id']}"))["failing_since"] is None
        came = [one for one in receiver.received if one.path == f"/{name}"]
        assert {one.id for one in came} == {entry["id"]}
        assert all(one.verify(hook["secret"])["data"] == {"of": name} for one in came)
        waited = float(came[1].headers["webhook-timestamp"]) - float(
            came[0].headers["webhook-timestamp"]
        )
        assert waited >= schedule.BACK_OFF[0] - 1


def test_redirects_lead_nowhere(hooks: Api, emit: Emit, receiver: Receiver) -> None:
    """A redirect is a failure: what it leads to is asked nothing."""
    hook = webhook(hooks, receiver.url())
    receiver.default = redirect(receiver.url("/elsewhere"))
    emit(hook["tenant_id"])
    (entry,) = settled(hooks, hook)
    assert (entry["error"], entry["response_status"]) == ("redirect", 307)
    assert [one.path for one in receiver.received] == ["/hook"]


def test_endless_body(hooks: Api, emit: Emit, receiver: Receiver) -> None:
    """Of an answer without an end a little is read, and its status counts."""
    hook = webhook(hooks, receiver.url())
    receiver.default = endless(200)
    emit(hook["tenant_id"])
    (entry,) = settled(hooks, hook)
    assert (entry["status"], entry["response_status"]) == ("delivered", 200)
    # What the sockets' buffers take besides is a few MB at most.
    assert receiver.sent < 64 * 1024 * 1024


def test_hostile(settings: Settings, receiver: Receiver) -> None:
    """Whatever an address is spelled like, nothing that isn't public is connected to."""
    hosts = ["localhost", "127.1", "0x7f000001", "2130706433", "①②⑦.0.0.1", "LOCALHOST.", "0"]
    with contextlib.closing(Runtime.open(settings)) as runtime:
        api = Api(create_app("internal", runtime))
        owner = factories.tenant(api)["id"]
        for host in hosts:
            body = {"tenant_id": owner, "url": f"http://{host}:{receiver.port}/"}
            assert api.post("/api/v2/webhooks", body).status_code in (200, 422)
        made = api.data(api.get("/api/v2/webhooks", query_string={"tenant_id": owner}))["items"]
        assert len(made) >= 2
        runtime.write(lambda s: service.emit(s, owner, "message.created", {}))
        for hook in made:
            (entry,) = settled(api, hook)
            assert entry["error"] in ("address_refused", "unreachable"), hook["url"]
            assert entry["response_status"] is None
    assert receiver.received == []


def test_slow_ones(hooks: Api, emit: Emit, sending: Runtime, receiver: Receiver) -> None:
    """Endpoints that don't answer hold up nobody else, however much waits for them."""
    for n in range(5):
        receiver.by_path[f"/slow{n}"] = silent
        owner = webhook(hooks, receiver.url(f"/slow{n}"))["tenant_id"]
        events = [service.Event(owner, "message.created", {})] * 60
        sending.write(lambda s, events=events: service.emit_many(s, events))
    receiver.wait(5 * places.PER_ENDPOINT)
    good = webhook(hooks, receiver.url("/good"))
    emit(good["tenant_id"])
    (entry,) = settled(hooks, good)
    assert entry["status"] == "delivered"
    # None of the slow ones has been answered, nor got more than its places.
    by_path = Counter(one.path for one in receiver.received)
    assert by_path == {"/good": 1} | {f"/slow{n}": places.PER_ENDPOINT for n in range(5)}


def test_one_tenants_slow_ones(
    hooks: Api, emit: Emit, sending: Runtime, receiver: Receiver
) -> None:
    """However many endpoints of a tenant don't answer, others are sent what is theirs; and those
    that fail get fewer places yet."""
    owner = factories.tenant(hooks)["id"]
    receiver.default = silent
    failing = [webhook(hooks, receiver.url("/failing"), owner) for _ in range(10)]
    for hook in failing:
        failing_since(sending, hook, timedelta(hours=1))
    for _ in range(10):
        webhook(hooks, receiver.url("/slow"), owner)
    events = [service.Event(owner, "message.created", {})] * 10
    sending.write(lambda session: service.emit_many(session, events))
    receiver.wait(places.PER_TENANT)
    receiver.by_path["/good"] = status(200)
    good = webhook(hooks, receiver.url("/good"))
    emit(good["tenant_id"])
    settled(hooks, good)
    by_path = Counter(one.path for one in receiver.received)
    assert by_path["/failing"] <= places.FAILING_PER_TENANT
    assert by_path["/failing"] + by_path["/slow"] == places.PER_TENANT


def test_slow_and_failing(
    hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that doesn't answer in time has failed, and then gets one attempt at once."""
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 1)
    hook = webhook(hooks, receiver.url())
    receiver.default = silent
    emit(hook["tenant_id"])
    (entry,) = settled(hooks, hook)
    assert (entry["status"], entry["error"]) == ("pending", "timeout")
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 600)
    for _ in range(10):
        emit(hook["tenant_id"])
    receiver.wait(2)
    receiver.stays(2, 3)


def test_gone(hooks: Api, emit: Emit, receiver: Receiver) -> None:
    """An endpoint that says it is gone is switched off; what waits for it is given up."""
    hook = webhook(hooks, receiver.url())
    receiver.default = status(410)
    emit(hook["tenant_id"])
    path = f"/api/v2/webhooks/{hook['id']}"
    shown = eventually(lambda: (x := hooks.data(hooks.get(path))) and not x["is_active"] and x)
    assert shown["disabled_at"]
    (entry,) = log_of(hooks, hook)
    assert (entry["status"], entry["error"], entry["attempts"]) == ("failed", "gone", 1)
    (audited,) = factories.audit_entries(hooks, resource="webhook", tenant_id=hook["tenant_id"])[:1]
    assert (audited["action"], audited["actor"]) == ("webhook.disable", "system")


@pytest.mark.parametrize(("failing", "is_active"), [(schedule.WHOLE_TIME, False),
                                                   (timedelta(hours=20), True)])  # fmt: skip
def test_given_up(
    failing: timedelta, is_active: bool,
    hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime,
) -> None:  # fmt: skip
    """After the last attempt a delivery is given up; a webhook for which none has succeeded all
    that time is switched off, and works again when its owner switches it on."""
    hook = webhook(hooks, receiver.url())
    receiver.default = status(500)
    emit(hook["tenant_id"])
    settled(hooks, hook)
    failing_since(sending, hook, failing)
    hurry(sending, attempts=len(schedule.BACK_OFF))
    (entry,) = eventually(lambda: log_of(hooks, hook, status="failed"))
    assert (entry["error"], entry["next_attempt_at"]) == ("status", None)
    path = f"/api/v2/webhooks/{hook['id']}"
    shown = hooks.data(hooks.get(path))
    assert (shown["is_active"], shown["disabled_at"] is None) == (is_active, is_active)
    again = hooks.data(hooks.put(path, {"is_active": True}))
    assert again["disabled_at"] is again["failing_since"] is None
    receiver.default = status(200)
    hooks.data(hooks.post(f"/api/v2/deliveries/{entry['id']}/redeliver"))
    eventually(lambda: log_of(hooks, hook, status="delivered"))


def test_hopeless(hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime) -> None:
    """A webhook for which nothing has succeeded all that time is switched off at its next failure,
    though events come so often that no delivery has had its last attempt; all that waits goes."""
    hook = webhook(hooks, receiver.url())
    receiver.default = status(500)
    emit(hook["tenant_id"])
    settled(hooks, hook)
    failing_since(sending, hook, schedule.WHOLE_TIME)
    events = [service.Event(hook["tenant_id"], "message.created", {})] * 200
    sending.write(lambda session: service.emit_many(session, events))
    path = f"/api/v2/webhooks/{hook['id']}"
    assert eventually(lambda: hooks.data(hooks.get(path))["disabled_at"])
    hurry(sending)
    eventually(lambda: not log_of(hooks, hook, status="pending"))
    assert {entry["error"] for entry in log_of(hooks, hook, page_size=100)} == {"inactive"}
    assert len(receiver.received) < 10


def test_too_late(hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime) -> None:
    """What its endpoint had no place for in two days is given up."""
    hook = webhook(hooks, receiver.url())
    receiver.default = status(500)
    emit(hook["tenant_id"])
    settled(hooks, hook)
    late = update(Delivery).values(due_at=clock.now() - outbox.TOO_LATE)
    sending.write(lambda session: session.execute(late) and None)
    sending.webhooks.wake()
    (entry,) = eventually(lambda: log_of(hooks, hook, status="failed"))
    assert (entry["error"], entry["next_attempt_at"]) == ("expired", None)
    assert hooks.data(hooks.get(f"/api/v2/webhooks/{hook['id']}"))["is_active"]


def test_switched_off_meanwhile(
    hooks: Api, emit: Emit, receiver: Receiver, sending: Runtime
) -> None:
    """What waits for a webhook when it is switched off isn't sent any more."""
    hook = webhook(hooks, receiver.url())
    receiver.script(status(500))
    emit(hook["tenant_id"])
    settled(hooks, hook)
    hooks.data(hooks.put(f"/api/v2/webhooks/{hook['id']}", {"is_active": False}))
    hurry(sending)
    (entry,) = eventually(lambda: log_of(hooks, hook, status="failed"))
    assert (entry["error"], len(receiver.received)) == ("inactive", 1)


def test_redelivery(hooks: Api, emit: Emit, receiver: Receiver) -> None:
    """By hand a delivery is sent again to the letter, under the same id, as often as one likes."""
    hook = webhook(hooks, receiver.url())
    emit(hook["tenant_id"], text="once more")
    (entry,) = settled(hooks, hook)
    for number in (2, 3):
        again = hooks.data(hooks.post(f"/api/v2/deliveries/{entry['id']}/redeliver"))
        assert (again["status"], again["attempts"]) == ("pending", 0)
        received = receiver.wait(number)
        eventually(lambda: log_of(hooks, hook, status="delivered"))
    assert len({(one.id, one.body) for one in received}) == 1
    assert len(log_of(hooks, hook)) == 1


def test_redelivered_while_it_ends(hooks: Api, emit: Emit, sending: Runtime) -> None:
    """Who sends a delivery again while its attempt's end is being stored has it sent again."""
    sending.webhooks.close()  # this process only writes
    hook = webhook(hooks)
    emit(hook["tenant_id"])
    (entry,) = log_of(hooks, hook)
    ending = threading.Event()

    def end(session: Session) -> None:
        now = clock.now()
        ended = {"status": "delivered", "attempts": 1, "due_at": None, "settled_at": now}
        session.execute(update(Delivery).values(ended))
        ending.set()
        time.sleep(1)

    def again() -> None:
        assert ending.wait(60)
        sending.write(lambda session: deliveries.redeliver(session, entry["id"]) and None)

    together([lambda: sending.write(end), again])
    (entry,) = log_of(hooks, hook)
    assert (entry["status"], entry["attempts"], entry["settled_at"]) == ("pending", 0, None)
    assert entry["next_attempt_at"]


def test_several_senders(hooks: Api, receiver: Receiver, sending: Runtime) -> None:
    """Of several processes that look at the outbox one sends each delivery."""
    hook = webhook(hooks, receiver.url())
    event = [service.Event(hook["tenant_id"], "message.created", {"n": n}) for n in range(100)]
    with contextlib.ExitStack() as ends:
        others = [Runtime.open(sending.settings) for _ in range(2)]
        for runtime in others:
            ends.callback(runtime.close)
        for start in range(0, 100, 10):
            batch = event[start : start + 10]
            sending.write(lambda s, batch=batch: service.emit_many(s, batch))
            for runtime in others:
                runtime.webhooks.wake()
        receiver.wait(100)
        settled(hooks, hook, 100)
    assert Counter(one.payload["data"]["n"] for one in receiver.received) == Counter(range(100))


def test_idle(sending: Runtime, hooks: Api) -> None:
    """A service without deliveries has no thread that sends them."""
    webhook(hooks, "http://localhost:9/")
    sending.background.ensure()
    time.sleep(1.5)
    assert sending.webhooks._loop is None


def test_closing(hooks: Api, emit: Emit, sending: Runtime, receiver: Receiver) -> None:
    """A stop doesn't wait for an endpoint that doesn't answer; its delivery waits for the next."""
    hook = webhook(hooks, receiver.url())
    receiver.default = silent
    emit(hook["tenant_id"])
    receiver.wait(1)
    sending.webhooks.close()
    sending.webhooks.wake()
    assert not [one for one in threading.enumerate() if one.name == "webhooks"]
    (entry,) = log_of(hooks, hook)
    assert (entry["status"], entry["attempts"]) == ("pending", 0)
    assert entry["next_attempt_at"]


def test_killed(
    migrated_database_url: str, live_service: Callable[..., LiveService], receiver: Receiver,
    hooks: Api, emit: Emit, sending: Runtime,
) -> None:  # fmt: skip
    """A sender that is killed between loses nothing: another delivers what it had."""
    instance = sending.settings.instance
    hook = webhook(hooks, receiver.url())
    rows = [{"n": n} for n in range(KILLED_EVENTS)]
    receiver.by_path["/hook"] = silent
    env = {"MAIMCONFIG_PROVIDER_ALLOW": "127.0.0.1",
           "MAIMCONFIG_SECRET_KEY": (instance / "secret.key").read_text().split()[0]}  # fmt: skip
    live = live_service(migrated_database_url, env=env)
    sending.webhooks.close()  # this process only writes
    events = [service.Event(hook["tenant_id"], "message.created", row) for row in rows]
    sending.write(lambda session: service.emit_many(session, events))
    httpx.get(f"{live.internal}/info")
    receiver.wait(10)
    live.kill()
    before = len(receiver.received)
    del receiver.by_path["/hook"]
    hurry(sending)  # as if the time had passed for which the killed one has them
    live.start()
    httpx.get(f"{live.internal}/info")
    receiver.wait(before + KILLED_EVENTS)
    settled(hooks, hook, KILLED_EVENTS)
    log = log_of(hooks, hook, page_size=100)
    assert {entry["status"] for entry in log} == {"delivered"}
    assert {one.payload["data"]["n"] for one in receiver.received} == set(range(KILLED_EVENTS))
