"""/api/v1/admin/contacts: list, search, create, change, merge."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.runtime import Runtime
from maimconfig.sessions.models import ChatSession
from tests import factories
from tests.api import Api
from tests.factories import conversations as made
from tests.factories import users
from tests.factories.users import Person
from tests.parallel import at_once

pytestmark = pytest.mark.usefixtures("nobody_answers")

URL = "/api/v1/admin/contacts"


@pytest.fixture
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed stays owed: this process isn't one that answers."""
    from maimconfig.conversations.answering import Answering

    monkeypatch.setattr(Answering, "wake", lambda self: None)


@pytest.fixture
def boss(public: Api) -> Person:
    """A supervisor, who may merge."""
    return users.person(public, "supervisor")


def names(who: Person, url: str = URL, **query: Any) -> list[str]:
    """The contacts that somebody sees."""
    return [one["external_id"] for one in who.found(url, query_string=query)]


def test_contacts(boss: Person, public: Api, runtime: Runtime) -> None:
    """Contacts that talked and contacts that were made are listed and searched, newest first."""
    tenant_id, agent_id = made.agent(runtime)
    made.talk(runtime, (tenant_id, agent_id), user_id="Visitor-1")
    made.talk(runtime, (tenant_id, agent_id), user_id="guest-1", guest=True)
    body = {"tenant_id": tenant_id, "external_id": "crm-7", "name": "李雷", "phone": "+86 1",
            "email": "LiLei@example.com", "custom_attributes": {"b": 1, "a": [1.0]}}  # fmt: skip
    fresh = boss.made(URL, body)
    assert {name: fresh[name] for name in body} == body
    assert list(fresh["custom_attributes"]) == ["b", "a"]
    assert names(boss) == ["crm-7", "guest-1", "Visitor-1"]
    assert names(boss, "/api/v1/admin/customers") == names(boss)
    assert names(boss, q="visitor") == ["Visitor-1"]
    assert names(boss, q="李") == names(boss, q="lilei@") == names(boss, q="+86") == ["crm-7"]
    assert names(boss, is_guest=1) == ["guest-1"]
    assert names(boss, tenant_id="tenant_nope") == names(boss, q="%") == []
    assert names(boss, page=2, page_size=2) == ["Visitor-1"]
    assert boss.get(URL).headers["X-Total-Count"] == "3"
    public.error(boss.post(URL, body), 409, "CONTACT_001")
    nowhere = {**body, "tenant_id": "tenant_nope"}
    public.error(boss.post(URL, nowhere), 404, "TENANT_001")
    talked = made.talk(runtime, (tenant_id, agent_id), user_id="crm-7")
    assert talked.chat.contact_id == fresh["id"]


def test_change(boss: Person, public: Api, api: Api, runtime: Runtime) -> None:
    """Attributes are kept to the letter, null empties a field, a stale change is refused, and
    what was is in the audit log."""
    contact = made.talk(runtime).chat.contact_id
    path = f"{URL}/{contact}"
    etag = boss.get(path).headers["ETag"]
    changed = boss.put(path, {"name": "韩梅梅", "custom_attributes": {"vip": True, "n": 1.0}})
    assert changed.get_json()["custom_attributes"] == {"vip": True, "n": 1.0}
    kept = boss.put(path, {"name": None, "custom_attributes": None}).get_json()
    assert (kept["name"], kept["custom_attributes"]) == (None, {"vip": True, "n": 1.0})
    answer = boss.put(path, {"name": "x"}, headers={"If-Match": etag})
    public.error(answer, 412, "PRECONDITION_001")
    latest = factories.audit_entries(api, resource="contact")[0]
    assert (latest["action"], latest["before"]) == ("contact.update", {"name": "韩梅梅"})
    public.error(boss.put(f"{URL}/contact_nope", {"name": "x"}), 404, "NOT_FOUND")


def test_merge(boss: Person, public: Api, runtime: Runtime) -> None:
    """Who is merged gives conversations and sessions away, fills gaps, and is found no more."""
    agent = made.agent(runtime)
    kept, gone = made.talk(runtime, agent, user_id="a"), made.talk(runtime, agent, user_id="b")
    one, other = kept.chat.contact_id, gone.chat.contact_id
    boss.put(f"{URL}/{one}", {"name": "A", "custom_attributes": {"x": 1}})
    boss.put(f"{URL}/{other}", {"name": "B", "phone": "1", "custom_attributes": {"x": 2, "y": 3}})
    said = gone.say("x", client_id="c")
    before = gone.now().revision
    merged = boss.made(f"{URL}/{one}/merge", {"contact_id": other})
    assert (merged["name"], merged["phone"]) == ("A", "1")
    assert merged["custom_attributes"] == {"x": 1, "y": 3}
    assert gone.now().contact_id == one
    assert gone.now().revision == before + 1
    assert gone.rows(ChatSession)[0].contact_id == one
    # A message that is sent again is still known.
    assert gone.say("x", client_id="c", sender_id=one)["id"] == said["id"]
    assert names(boss) == ["a"]
    assert boss.found(f"{URL}/{other}")["merged_into"] == one
    assert made.talk(runtime, agent, user_id="b").chat.contact_id == one
    public.error(boss.post(f"{URL}/{one}/merge", {"contact_id": other}), 422, "VALIDATION_ERROR")
    # A chain ends at its end.
    last = made.talk(runtime, agent, user_id="c").chat.contact_id
    boss.made(f"{URL}/{last}/merge", {"contact_id": one})
    assert boss.found(f"{URL}/{other}")["merged_into"] == last
    assert made.talk(runtime, agent, user_id="b").chat.contact_id == last


def test_merging_a_guest(boss: Person, public: Api, runtime: Runtime) -> None:
    """A guest is merged into a known contact, never the reverse; who then comes as a guest with
    the same unproven id is somebody new."""
    agent = made.agent(runtime)
    known = made.talk(runtime, agent, user_id="bob").chat.contact_id
    guest = made.talk(runtime, agent, user_id="bob", guest=True)
    path = f"{URL}/{guest.chat.contact_id}/merge"
    public.error(boss.post(path, {"contact_id": known}), 422, "VALIDATION_ERROR")
    boss.made(f"{URL}/{known}/merge", {"contact_id": guest.chat.contact_id})
    assert guest.now().contact_id == known
    stranger = made.talk(runtime, agent, user_id="bob", guest=True).chat.contact_id
    assert stranger not in (known, guest.chat.contact_id)


def test_merging_at_once(boss: Person, public: Api, runtime: Runtime) -> None:
    """Two who merge the same contacts into each other at once: one of it happens."""
    agent = made.agent(runtime)
    one, other = (made.talk(runtime, agent, user_id=name).chat.contact_id for name in "ab")

    def merge(kept: str, gone: str) -> Any:
        path, body = f"{URL}/{kept}/merge", {"contact_id": gone}
        return lambda client: client.post(path, json=body, headers=boss.headers)

    answers = at_once(public, [merge(one, other), merge(other, one)] * 2)
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    assert len(names(boss)) == 1


def test_refused(boss: Person, public: Api, runtime: Runtime) -> None:
    """Contacts of different tenants, of none and itself aren't merged; agents don't merge."""
    one, foreign = (made.talk(runtime).chat.contact_id for _ in range(2))
    path = f"{URL}/{one}/merge"
    public.error(boss.post(path, {"contact_id": one}), 422, "VALIDATION_ERROR")
    unknown = public.error(boss.post(path, {"contact_id": "contact_nope"}), 404, "NOT_FOUND")
    other = public.error(boss.post(path, {"contact_id": foreign}), 404, "NOT_FOUND")
    assert unknown["error"] == other["error"]
    agent = users.person(public, "agent")
    public.error(agent.post(path, {"contact_id": foreign}), 403, "AUTH_008")
    admin = users.person(public, "admin")
    mine = agent.found(f"{URL}/{one}")["tenant_id"]
    admin.put(f"/api/v1/admin/users/{agent.id}", {"tenant_ids": [mine]})
    public.error(agent.get(f"{URL}/{foreign}"), 404, "NOT_FOUND")
    public.error(agent.put(f"{URL}/{foreign}", {"name": "x"}), 404, "NOT_FOUND")
    tenant_id = boss.found(f"{URL}/{foreign}")["tenant_id"]
    public.error(agent.post(URL, {"tenant_id": tenant_id}), 404, "TENANT_001")
