"""/api/v1/admin/conversations: what staff see, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.conversations import staff
from maimconfig.conversations.models import OwedReply
from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api
from tests.factories import conversations as made
from tests.factories import users
from tests.factories.users import Person
from tests.parallel import at_once

pytestmark = pytest.mark.usefixtures("nobody_answers")

URL = "/api/v1/admin/conversations"


def ids(who: Person, **query: Any) -> list[str]:
    """The conversations that somebody sees."""
    return [one["id"] for one in who.found(URL, query_string=query)]


def restricted(public: Api, boss: Person, role: str, *tenant_ids: str) -> Person:
    """Somebody who serves only these tenants."""
    who = users.person(public, role)
    answer = boss.put(f"/api/v1/admin/users/{who.id}", {"tenant_ids": list(tenant_ids)})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return who


def test_list(public: Api, runtime: Runtime) -> None:
    """Conversations come with contact and assignee, the latest activity first, in slices or
    pages."""
    agent = users.person(public, "agent")
    talks = [made.talk(runtime, user_id=f"visitor no {n}") for n in range(5)]
    for talk in (*talks, talks[0]):
        talk.say()
    order = [talks[n].id for n in (0, 4, 3, 2, 1)]
    assert ids(agent) == order
    assert ids(agent, limit=2, offset=1) == order[1:3]
    assert ids(agent, page=2, page_size=2) == ids(agent, page=2, size=2) == order[2:4]
    answer = agent.get(URL, query_string={"limit": 1})
    assert answer.headers["X-Total-Count"] == "5"
    (first,) = answer.get_json()
    assert first["contact"]["external_id"] == "visitor no 0"
    assert (first["assignee"], first["unread_staff"], first["last_seq"]) == (None, 2, 2)
    for wrong in ({"page": 1, "offset": 1}, {"limit": 5, "page_size": 6}, {"limit": 0},
                  {"status": "lost"}, {"offset": -1}):  # fmt: skip
        public.error(agent.get(URL, query_string=wrong), 422, "VALIDATION_ERROR")


def test_filters(public: Api, runtime: Runtime) -> None:
    """Each filter finds what is so, and no other."""
    agent, other = users.person(public, "agent"), users.person(public, "agent")
    mine, theirs, waiting, free = (
        made.talk(runtime, user_id=name) for name in ("Ärger 一", "zwei", "drei", "vier")
    )
    agent.post(f"{URL}/{mine.id}/takeover")
    other.post(f"{URL}/{theirs.id}/takeover")
    waiting.say("转人工")
    agent.put(f"{URL}/{free.id}/priority", {"priority": "urgent"})
    assert ids(agent, assignee_id="me") == ids(other, assignee_id=agent.id) == [mine.id]
    assert set(ids(agent, assignee_id="none")) == {waiting.id, free.id}
    assert ids(agent, agent_type="human", assignee_id="none") == [waiting.id]
    assert ids(agent, status="pending") == [waiting.id]
    assert ids(agent, priority="urgent") == [free.id]
    assert ids(agent, tenant_id=free.chat.tenant_id) == [free.id]
    assert ids(agent, contact_id=free.chat.contact_id) == [free.id]
    assert ids(agent, agent_id=free.chat.agent_id) == [free.id]
    assert ids(agent, q="ärger") == ids(agent, q=mine.id) == [mine.id]
    assert ids(agent, q="%") == ids(agent, tenant_id="tenant_nope") == []


@pytest.mark.parametrize("most_contacts", [staff.MOST_CONTACTS, 1])
def test_search(
    most_contacts: int, public: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search finds the conversations of all contacts that match, of few and of many."""
    monkeypatch.setattr(staff, "MOST_CONTACTS", most_contacts)
    agent = users.person(public, "agent")
    found = [made.talk(runtime, user_id=f"Ärger {number}") for number in range(3)]
    made.talk(runtime, user_id="friede")
    assert set(ids(agent, q="ärger")) == {talk.id for talk in found}
    assert ids(agent, q="ÄRGER 2") == [found[2].id]


def test_take_over(public: Api, runtime: Runtime) -> None:
    """Who takes over has the conversation and answers in it; another is refused and told who has
    it; released, it is the AI's again."""
    agent, other = users.person(public, "agent"), users.person(public, "agent")
    talk = made.talk(runtime)
    talk.say("a question")
    path = f"{URL}/{talk.id}"
    taken = agent.made(f"{path}/takeover")
    assert (taken["agent_type"], taken["status"]) == ("human", "open")
    assert taken["assignee"]["id"] == taken["assignee_id"] == agent.id
    assert talk.rows(OwedReply) == []
    refused = public.error(other.post(f"{path}/takeover"), 409, "CHAT_005")
    assert refused["details"]["assignee_id"] == [agent.id]
    public.error(other.post(f"{path}/messages", {"content": "me"}), 409, "CHAT_005")
    answered = agent.made(f"{path}/messages", {"content": "an answer", "client_id": "c"})
    sender = answered["sender_type"], answered["sender_id"]
    assert (answered["seq"], *sender) == (2, "agent", agent.id)
    assert agent.made(f"{path}/messages", {"content": "an answer", "client_id": "c"}) == answered
    public.error(other.post(f"{path}/release"), 403, "AUTH_008")
    public.error(other.put(f"{path}/status", {"status": "closed"}), 403, "AUTH_008")
    released = agent.made(f"{path}/release")
    assert (released["agent_type"], released["assignee"]) == ("ai", None)
    assert released["handled_by_human"] is True


def test_two_at_once(public: Api, runtime: Runtime) -> None:
    """Of several who take over at once one wins."""
    people = [users.person(public, "agent") for _ in range(4)]
    talk = made.talk(runtime)
    path = f"{URL}/{talk.id}/takeover"
    calls = [lambda client, who=who: client.post(path, headers=who.headers) for who in people]
    answers = at_once(public, calls)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    (winner,) = [one.get_json() for one in answers if one.status_code == 200]
    assert talk.now().assignee_id == winner["assignee_id"]


def test_answering_takes_over(public: Api, runtime: Runtime) -> None:
    """Who answers in a conversation that nobody has takes it over; a note doesn't."""
    agent = users.person(public, "agent")
    talk = made.talk(runtime)
    note = agent.made(f"{URL}/{talk.id}/notes", {"content": "一个备注"})
    assert (note["is_private"], note["seq"]) == (True, None)
    assert talk.now().assignee_id is None
    agent.made(f"{URL}/{talk.id}/messages", {"content": "a note", "is_private": True})
    assert talk.now().assignee_id is None
    agent.made(f"{URL}/{talk.id}/messages", {"content": "hello", "message_type": "text"})
    assert talk.now().assignee_id == agent.id
    history = agent.found(f"{URL}/{talk.id}/messages")
    assert [one["content"] for one in history["messages"]] == ["一个备注", "a note", "hello"]
    assert (history["total"], history["has_more"]) == (3, False)
    (last,) = agent.found(f"{URL}/{talk.id}/messages?limit=1")["messages"]
    assert last["content"] == "hello"


def test_assign(public: Api, runtime: Runtime) -> None:
    """Who may manage gives a conversation to whom it likes; others only take what is free."""
    boss, agent, other = (users.person(public, role) for role in ("supervisor", "agent", "agent"))
    user = users.person(public)
    talk = made.talk(runtime)
    path = f"{URL}/{talk.id}/assign"
    refused = public.error(agent.post(path, {"assignee_id": other.id}), 403, "AUTH_008")
    assert refused["error"] == "需要权限 conversation.manage"
    assert agent.made(path, {"assignee_id": agent.id})["assignee_id"] == agent.id
    public.error(other.post(path, {"assignee_id": other.id}), 409, "CHAT_005")
    assert boss.made(path, {"assignee_id": other.id})["assignee_id"] == other.id
    for nobody in (user.id, "user_nope"):
        public.error(boss.post(path, {"assignee_id": nobody}), 404, "USER_001")
    assert boss.made(f"{URL}/{talk.id}/release")["assignee_id"] is None
    switched = {"agent_type": "human", "reason": "vip"}
    assert boss.made(f"{URL}/{talk.id}/switch-agent", switched)["handoff_reason"] == "vip"


def test_assigned_to_nobody(public: Api, runtime: Runtime) -> None:
    """Without an assignee a conversation waits for the next person, and not for the AI; others
    than its own take who may manage, and what the AI has stays the AI's."""
    boss, agent, other = (users.person(public, role) for role in ("supervisor", "agent", "agent"))
    talk = made.talk(runtime)
    path = f"{URL}/{talk.id}/assign"
    public.error(agent.post(path, {}), 422, "VALIDATION_ERROR")

    def nobody(who: Person) -> tuple[str, str, str | None]:
        found = who.made(path, {"assignee_id": None})
        return found["status"], found["current_agent_type"], found["assignee_id"]

    assert nobody(agent) == ("open", "ai", None)
    for who, may in ((agent, agent), (agent, boss)):
        who.made(f"{URL}/{talk.id}/takeover")
        public.error(other.post(path, {"assignee_id": None}), 403, "AUTH_008")
        assert nobody(may) == ("pending", "human", None)
    assert ids(other, status="pending", assignee_id="none") == [talk.id]
    assert other.made(f"{URL}/{talk.id}/takeover")["assignee_id"] == other.id


def test_status(public: Api, runtime: Runtime) -> None:
    """Changes of status follow the table; a stale If-Match is refused; all of it is audited."""
    agent = users.person(public, "agent")
    talk = made.talk(runtime)
    path = f"{URL}/{talk.id}"
    etag = agent.get(path).headers["ETag"]
    for status in ("pending", "resolved", "open"):
        changed = agent.put(f"{path}/status", {"status": status}).get_json()
        assert changed["status"] == status
        assert (changed["resolved_at"] is not None) == (status == "resolved")
    public.error(
        agent.put(f"{path}/status", {"status": "closed"}, headers={"If-Match": etag}),
        412, "PRECONDITION_001",
    )  # fmt: skip
    assert agent.get(path, headers={"If-None-Match": etag}).status_code == 200
    tags = agent.put(f"{path}/tags", {"tags": ["退款", " vip ", "退款"]}).get_json()["tags"]
    assert tags == ["退款", "vip"]
    assert agent.put(f"{path}/status", {"status": "closed"}).status_code == 200
    public.error(agent.put(f"{path}/status", {"status": "open"}), 409, "CHAT_005")
    public.error(agent.post(f"{path}/takeover"), 409, "CHAT_005")
    public.error(agent.post(f"{path}/messages", {"content": "x"}), 409, "CHAT_005")


OPERATIONS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("GET", "/messages", None),
    ("POST", "/takeover", None),
    ("POST", "/assign", {"assignee_id": "user_1"}),
    ("POST", "/release", None),
    ("POST", "/switch-agent", {"agent_type": "human"}),
    ("PUT", "/status", {"status": "closed"}),
    ("PUT", "/priority", {"priority": "low"}),
    ("PUT", "/tags", {"tags": []}),
    ("POST", "/messages", {"content": "x"}),
    ("POST", "/notes", {"content": "x"}),
]


def test_restricted(public: Api, runtime: Runtime) -> None:
    """To who serves other tenants a conversation looks unknown, and stays as it is."""
    boss = users.person(public, "admin")
    talk = made.talk(runtime)
    stranger = restricted(public, boss, "supervisor", made.talk(runtime).chat.tenant_id)
    for method, rest, body in OPERATIONS:
        told = [
            public.error(stranger.call(method, f"{URL}/{one}{rest}", body), 404, "CHAT_001")
            for one in (talk.id, "conv_nope")
        ]
        assert told[0]["error"] == told[1]["error"]
    now = talk.now()
    assert (now.revision, now.next_position, now.assignee_id) == (1, 1, None)


def test_serving(public: Api, runtime: Runtime, api: Api) -> None:
    """Whom one serves is set by administrators, holds from the next request on, and is shown."""
    boss = users.person(public, "admin")
    first, second = made.talk(runtime), made.talk(runtime)
    agent = restricted(public, boss, "agent", first.chat.tenant_id)
    path = f"/api/v1/admin/users/{agent.id}"
    assert ids(agent) == [first.id]
    both = sorted((first.chat.tenant_id, second.chat.tenant_id))
    etag = boss.get(path).headers["ETag"]
    assert boss.put(path, {"tenant_ids": both}).get_json()["tenant_ids"] == both
    assert boss.get(path).headers["ETag"] != etag
    assert set(ids(agent)) == {first.id, second.id}
    assert boss.put(path, {"full_name": "x"}).get_json()["tenant_ids"] == both
    assert boss.put(path, {"tenant_ids": []}).get_json()["tenant_ids"] == []
    assert ids(agent) == []
    assert agent.found("/api/v1/admin/contacts") == []
    public.error(boss.put(path, {"tenant_ids": ["tenant_nope"]}), 404, "TENANT_001")
    assert boss.put(path, {"tenant_ids": None}).get_json()["tenant_ids"] is None
    assert set(ids(agent)) == {first.id, second.id}
    new = {"username": users.new_name(), "password": users.PASSWORD, "role": "agent",
           "tenant_ids": [first.chat.tenant_id]}  # fmt: skip
    born = boss.made("/api/v1/admin/users", new)
    assert born["tenant_ids"] == [first.chat.tenant_id]
    shown = {one["id"]: one["tenant_ids"] for one in boss.found("/api/v1/admin/users")}
    assert (shown[born["id"]], shown[boss.id]) == ([first.chat.tenant_id], None)
    boss.delete(f"/api/v1/admin/users/{born['id']}")
    assert factories.audit_entries(api)[0]["action"] == "user.delete"


@pytest.fixture
def told(api: Api) -> Callable[[dict[str, Any]], list[tuple[str, Any]]]:
    """What a webhook is told of, the oldest first."""
    from tests.factories.webhooks import log_of

    return lambda hook: [
        (entry["event"], entry["payload"]["data"])
        for entry in reversed(log_of(api, hook, page_size=100))
    ]


def test_webhooks(public: Api, api: Api, runtime: Runtime, told: Any) -> None:
    """A tenant's webhooks are told of each message, each change of status and of who has it."""
    from tests.factories.webhooks import webhook

    agent = users.person(public, "agent")
    talk = made.talk(runtime)
    hook = webhook(api, tenant_id=talk.chat.tenant_id)
    said = talk.say("hello")
    path = f"{URL}/{talk.id}"
    agent.post(f"{path}/takeover")
    answer = agent.made(f"{path}/messages", {"content": "hi"})
    agent.put(f"{path}/status", {"status": "resolved"})
    talk.say("one more")
    agent.post(f"{path}/release")
    agent.post(f"{path}/switch-agent", {"agent_type": "human"})
    log = told(hook)
    messages = [data for event, data in log if event == "message.created"]
    assert messages[:2] == [said, answer]
    assert [one["seq"] for one in messages] == [1, 2, 3, 4]
    assert messages[3]["sender_type"] == "system"
    statuses = [(data["previous_status"], data["status"]) for event, data in log
                if event == "conversation.status_changed"]  # fmt: skip
    assert statuses == [("open", "resolved"), ("resolved", "open"), ("open", "pending")]
    had = [(data["agent_type"], data["assignee_id"], data["previous_assignee_id"])
           for event, data in log if event == "conversation.assigned"]  # fmt: skip
    assert had == [("human", agent.id, None), ("ai", None, agent.id), ("human", None, None)]
