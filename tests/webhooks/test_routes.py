"""/api/v2/webhooks and /api/v1/webhooks: who has which, and what is shown of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.runtime import Runtime
from maimconfig.webhooks import service
from maimconfig.webhooks.models import EVENTS
from tests import factories
from tests.api import Api
from tests.factories import users
from tests.factories.webhooks import log_of, webhook
from tests.parallel import at_once, statuses

URL, OWN = "/api/v2/webhooks", "/api/v1/webhooks"
HOOK = "http://localhost:9/hooks/canary-path?token=canary-query"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def test_create(api: Api) -> None:
    """A webhook is told of all events unless some are named, and its secret is shown once."""
    made = webhook(api, HOOK)
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["is_active"], made["disabled_at"]) == ([], True, None)
    shown = api.data(api.get(f"{URL}/{made['id']}"))
    assert shown == {**made, "secret": "********"}
    listed = api.data(api.get(URL, query_string={"tenant_id": made["tenant_id"]}))
    assert listed["items"] == [shown]


def test_own_secret(api: Api, runtime: Runtime) -> None:
    """A secret that is given is used; the mask sent back keeps it, another takes its place."""
    made = webhook(api, secret=SECRET)
    path = f"{URL}/{made['id']}"

    def kept() -> str:
        return runtime.read(lambda s: service.secret_of(s, service.get(s, made["id"])))

    assert made["secret"] == kept() == SECRET
    api.data(api.put(path, {"secret": "********", "url": "http://localhost:9/2"}))
    assert kept() == SECRET
    other = SECRET.replace("MDEy", "MTIz")
    assert api.data(api.put(path, {"secret": other}))["secret"] == "********"
    assert kept() == other


def test_nothing_secret_is_left(api: Api, runtime: Runtime) -> None:
    """Neither the secret nor the path of the URL is in the audit log, nor the secret in clear."""
    made = webhook(api, HOOK, secret=SECRET)
    api.put(f"{URL}/{made['id']}", {"is_active": False})
    api.delete(f"{URL}/{made['id']}")
    entries = factories.audit_entries(api, tenant_id=made["tenant_id"])
    actions = [entry["action"] for entry in entries]
    assert actions[:3] == ["webhook.delete", "webhook.update", "webhook.create"]
    assert "localhost:9" in str(entries)
    assert "canary" not in str(entries)
    assert SECRET not in str(entries)
    again = webhook(api, secret=SECRET)
    sealed = runtime.read(lambda s: service.get(s, again["id"]).sealed_secret)
    assert SECRET[6:] not in sealed


WRONG: list[dict[str, Any]] = [
    {},
    {"url": ""},
    {"url": "ftp://example.com/"},
    {"url": "example.com/hook"},
    {"url": "https://user:password@example.com/"},
    {"url": "https://example.com\\@10.0.0.1/"},
    {"url": "https://" + "x" * 2000},
    {"url": "http://127.0.0.1/"},
    {"url": "http://[::1]:8000/"},
    {"url": "http://[::ffff:10.0.0.1]/"},
    {"url": "http://169.254.169.254/latest/meta-data"},
    {"url": "http://10.0.0.1:99999/"},
    {"url": "http://203.0.113.7:+81/"},
    {"url": "http://203.0.113.7:-1/"},
    {"url": "http://example.com:0/"},
    {"url": "http://[2001:db8::1]:８０/"},
    {"url": HOOK, "events": ["message.deleted"]},
    {"url": HOOK, "events": "message.created"},
    {"url": HOOK, "events": ["message.created"] * 100},
    {"url": HOOK, "secret": "guessme"},
    {"url": HOOK, "secret": "whsec_" + "A" * 1000},
    {"url": HOOK, "secret": "********"},
    {"url": HOOK, "is_active": "yes"},
    {"url": HOOK, "failing_since": None},
]


def test_refused(api: Api) -> None:
    """What can't be delivered to, or names what there isn't, is refused at once."""
    owner = factories.tenant(api)["id"]
    for body in WRONG:
        api.error(api.post(URL, {"tenant_id": owner, **body}), 422, "VALIDATION_ERROR")


def test_change(api: Api) -> None:
    """A change is refused when somebody else was first; null leaves a field as it is."""
    made = webhook(api, events=["message.created", "message.created", "agent.online"])
    assert made["events"] == ["message.created", "agent.online"]
    path = f"{URL}/{made['id']}"
    etag = api.get(path).headers["ETag"]
    changed = api.data(api.put(path, {"events": None, "is_active": False}))
    assert (changed["events"], changed["is_active"]) == (made["events"], False)
    assert api.data(api.put(path, {"events": []}))["events"] == []
    answer = api.put(path, {"is_active": True}, headers={"If-Match": etag})
    api.error(answer, 412, "PRECONDITION_001")
    api.error(api.put(path, {"url": "http://10.0.0.1/"}), 422, "VALIDATION_ERROR")
    assert api.data(api.put(path, {})) == api.data(api.get(path))


def test_not_more_than_20(api: Api) -> None:
    """A tenant has at most 20 webhooks, however many are made at once."""
    owner = factories.tenant(api)["id"]
    body = {"tenant_id": owner, "url": HOOK}
    calls = [lambda client: client.post(URL, json=body) for _ in range(service.MAX_WEBHOOKS + 4)]
    assert statuses(at_once(api, calls, 8)) == {200: 20, 403: 4}
    api.error(api.post(URL, body), 403, "TENANT_005")


@pytest.mark.parametrize("event", ["message.created", "quota.exceeded"])
def test_who_is_told(event: str, api: Api, runtime: Runtime) -> None:
    """Told is who listens to the event, is active and of the tenant; once each."""
    owner = factories.tenant(api)["id"]
    of_all, named, other = (
        webhook(api, tenant_id=owner, events=events)
        for events in ([], [event], [name for name in EVENTS if name != event])
    )
    silent = webhook(api, tenant_id=owner, is_active=False)
    foreign = webhook(api)
    events = [service.Event(owner, event, {"n": n}) for n in (1, 2)]
    runtime.write(lambda session: service.emit_many(session, events))
    for hook in (of_all, named):
        log = log_of(api, hook)
        assert sorted(entry["payload"]["data"]["n"] for entry in log) == [1, 2]
        assert {entry["payload"]["type"] for entry in log} == {event}
        assert {entry["payload"]["tenant_id"] for entry in log} == {owner}
        assert log_of(api, hook, status="delivered") == log_of(api, hook, event=EVENTS[0] if
            event != EVENTS[0] else EVENTS[1]) == []  # fmt: skip
    assert [log_of(api, hook) for hook in (other, silent, foreign)] == [[], [], []]


def test_undone(api: Api, runtime: Runtime) -> None:
    """What is told of in a transaction that is undone never happened."""
    hook = webhook(api)

    def work(session: Any) -> None:
        service.emit(session, hook["tenant_id"], "message.created", {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        runtime.write(work)
    assert log_of(api, hook) == []


def test_own(api: Api, public: Api) -> None:
    """A user sees and changes the webhooks of its own tenants, in the first unless one is named."""
    alice = users.person(public)
    made = alice.made(OWN, {"url": HOOK})
    second = alice.made("/api/v1/tenants/", {"tenant_name": users.new_name()})["id"]
    other = alice.made(OWN, {"url": HOOK, "tenant_id": second})
    listed = alice.get(OWN)
    assert [hook["id"] for hook in listed.get_json()] == [other["id"], made["id"]]
    assert listed.headers["X-Total-Count"] == "2"
    (only,) = alice.found(OWN, query_string={"tenant_id": second})
    assert only == {**other, "secret": "********"}
    path = f"{OWN}/{made['id']}"
    assert alice.put(path, {"is_active": False}).get_json()["is_active"] is False
    assert alice.found(path)["is_active"] is False
    assert alice.found(f"{path}/deliveries") == []
    assert alice.delete(path).status_code == 204
    public.error(alice.get(path), 404, "WEBHOOK_001")
    assert api.data(api.get(f"{URL}/{other['id']}"))["tenant_id"] == second


def test_anothers(public: Api, runtime: Runtime) -> None:
    """Another's webhooks, deliveries and tenants look unknown, and stay as they are."""
    alice, bob = users.person(public), users.person(public, "admin")
    hook = alice.made(OWN, {"url": HOOK})
    runtime.write(lambda s: service.emit(s, hook["tenant_id"], "message.created", {}))
    (delivery,) = alice.found(f"{OWN}/{hook['id']}/deliveries")
    path, again = f"{OWN}/{hook['id']}", f"/api/v1/deliveries/{delivery['id']}/redeliver"
    public.error(bob.get(path), 404, "WEBHOOK_001")
    public.error(bob.put(path, {"is_active": False}), 404, "WEBHOOK_001")
    public.error(bob.delete(path), 404, "WEBHOOK_001")
    public.error(bob.get(f"{path}/deliveries"), 404, "WEBHOOK_001")
    public.error(bob.post(again), 404, "WEBHOOK_002")
    body = {"url": HOOK, "tenant_id": hook["tenant_id"]}
    public.error(bob.post(OWN, body), 404, "TENANT_001")
    query = {"tenant_id": hook["tenant_id"]}
    public.error(bob.get(OWN, query_string=query), 404, "TENANT_001")
    assert bob.found(OWN) == []
    mine = alice.found(path)
    assert (mine["url"], mine["is_active"]) == (HOOK, True)


def test_switched_off(api: Api, runtime: Runtime, emit_here: Callable[[str], None]) -> None:
    """Nothing is delivered again to a webhook that is switched off."""
    hook = webhook(api)
    emit_here(hook["tenant_id"])
    api.put(f"{URL}/{hook['id']}", {"is_active": False})
    (entry,) = log_of(api, hook)
    api.error(api.post(f"/api/v2/deliveries/{entry['id']}/redeliver"), 409, "WEBHOOK_003")
    api.error(api.post("/api/v2/deliveries/delivery_nope/redeliver"), 404, "WEBHOOK_002")


@pytest.fixture
def emit_here(runtime: Runtime) -> Callable[[str], None]:
    """Tells a tenant's webhooks of something, in the service that sends nothing to loopback."""

    def tell(tenant_id: str) -> None:
        runtime.write(lambda s: service.emit(s, tenant_id, "message.created", {}))

    return tell
