"""Sessions as browsers and services use them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from maimconfig.audit.models import AuditLog
from maimconfig.conversations import handoff, service
from maimconfig.conversations.models import ConversationMessage, OwedReply
from maimconfig.providers.types import Failure
from maimconfig.runtime import Runtime
from maimconfig.sessions import sending
from maimconfig.sessions.models import ChatSession
from tests import factories
from tests.api import Api
from tests.chat.script import Script
from tests.conversations.conftest import until
from tests.factories import conversations as made
from tests.factories import users
from tests.parallel import at_once, post, statuses

CHAT = "/api/v1/chat"
SESSIONS = f"{CHAT}/sessions"


class Caller:
    """Somebody who shows a token with each call, or nothing."""

    def __init__(self, api: Api, token: str | None = None) -> None:
        self.api = api
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> TestResponse:
        """A call under /api/v1/chat."""
        headers = {**self.headers, **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.api.call(method, f"{CHAT}{path}", headers=headers, **options)

    def done(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """What a success shows."""
        return users.plain(self.call(method, path, body, **options))

    def begin(self, user_id: str = "visitor", **given: Any) -> dict[str, Any]:
        """A new session."""
        return self.done("POST", "/sessions", {"user_id": user_id, **given})

    def say(self, session_id: str, content: str = "你好", **given: Any) -> dict[str, Any]:
        """A message."""
        return self.done(
            "POST", "/messages", {"session_id": session_id, "content": content, **given}
        )

    def heard(self, session_id: str, **query: Any) -> Any:
        """The messages of a session."""
        return self.done("GET", f"/sessions/{session_id}/messages", query_string=query)

    def refused(self, status: int, code: str, *call: Any, **options: Any) -> None:
        """A call that is refused."""
        self.api.error(self.call(*call, **options), status, code)


@pytest.fixture
def key(api: Api) -> dict[str, Any]:
    """An agent's key."""
    return factories.api_key(api)


@pytest.fixture
def holder(public: Api, key: dict[str, Any]) -> Caller:
    """Who holds the key."""
    return Caller(public, key["api_key"])


@pytest.fixture
def open_agent(api: Api) -> dict[str, Any]:
    """An agent of a tenant that takes guests."""
    tenant = factories.tenant(api, tenant_config={"guest_chat": True})
    return factories.agent(api, tenant["id"])


def staff(public: Api, role: str = "agent") -> Caller:
    """A person who answers."""
    return Caller(public, users.person(public, role).tokens["access_token"])


def test_a_session(holder: Caller, key: dict[str, Any]) -> None:
    """A session is shown as the contract has it, its token once."""
    begun = holder.begin("u-1", metadata={"page": "/a"}, context={"lang": "zh"})
    token = begun.pop("token")
    assert token.startswith(f"mms_{begun['session_id']}.")
    assert begun["agent_id"] == key["agent_id"]
    assert (begun["user_id"], begun["agent_type"], begun["status"]) == ("u-1", "ai", "active")
    assert (begun["metadata"], begun["context"]) == ({"page": "/a"}, {"lang": "zh"})
    assert begun["expires_at"] > begun["created_at"]
    assert holder.done("GET", f"/sessions/{begun['session_id']}") == begun
    assert Caller(holder.api, token).done("GET", f"/sessions/{begun['session_id']}") == begun


def test_by_other_ways_to_show_a_key(public: Api, key: dict[str, Any]) -> None:
    """The key may stand in the body and in X-API-Key, and the agent beside it only be its own."""
    nobody = Caller(public)
    in_body = nobody.begin(api_key=key["api_key"], agent_id=key["agent_id"])
    in_header = {"X-API-Key": key["api_key"]}
    shown = nobody.done("GET", f"/sessions/{in_body['session_id']}", headers=in_header)
    assert shown["session_id"] == in_body["session_id"]
    body = {"user_id": "u", "agent_id": "agent_other"}
    nobody.refused(404, "AGENT_001", "POST", "/sessions", body, headers=in_header)


def test_a_key_without_the_permission(api: Api, public: Api) -> None:
    """A key needs the permission chat."""
    key = factories.api_key(api, permissions=["config_read"])
    caller = Caller(public, key["api_key"])
    caller.refused(403, "AUTH_003", "POST", "/sessions", {"user_id": "u"})


def test_changed_and_closed(holder: Caller) -> None:
    """Metadata and context are replaced, a closed session stays closed, and a stale change is
    refused."""
    path = f"/sessions/{holder.begin()['session_id']}"
    etag = holder.call("GET", path).headers["ETag"]
    changed = holder.done("PUT", path, {"metadata": {"a": 1}}, headers={"If-Match": etag})
    assert changed["metadata"] == {"a": 1}
    stale = {"If-Match": etag}
    holder.refused(412, "PRECONDITION_001", "PUT", path, {"context": {"b": 1}}, headers=stale)
    assert holder.done("PUT", path, {}) == changed
    assert holder.call("DELETE", path).status_code == 204
    assert holder.call("DELETE", path).status_code == 204
    assert holder.done("GET", path)["status"] == "closed"
    holder.refused(409, "CHAT_005", "PUT", path, {"status": "active"})
    said = {"session_id": path.rpartition("/")[2], "content": "x"}
    holder.refused(409, "CHAT_005", "POST", "/messages", said)


def test_token_of_what_has_ended(holder: Caller, runtime: Runtime, nobody_answers: None) -> None:
    """A closed session's token is good for nothing; an expired one's still reads, and no more."""
    expired, closed = holder.begin(), holder.begin("other")
    contact, path = Caller(holder.api, expired["token"]), f"/sessions/{expired['session_id']}"
    holder.say(expired["session_id"])
    runtime.write(
        lambda session: setattr(
            session.get_one(ChatSession, expired["session_id"]), "status", "expired"
        )
    )
    assert contact.heard(expired["session_id"])["total"] == 1
    contact.refused(409, "CHAT_005", "PUT", path, {"status": "active"})
    contact, path = Caller(holder.api, closed["token"]), f"/sessions/{closed['session_id']}"
    assert contact.call("DELETE", path).status_code == 204
    for call in (("GET", path), ("GET", f"{path}/messages"), ("DELETE", path)):
        contact.refused(401, "AUTH_006", *call)


def test_messages_are_listed(holder: Caller, nobody_answers: None) -> None:
    """The last messages come in order; before and after go on from a seq or an id."""
    session_id = holder.begin()["session_id"]
    said = [holder.say(session_id, f"{number}") for number in range(5)]

    def listed(**query: Any) -> tuple[list[int], bool]:
        found = holder.heard(session_id, **query)
        assert found["total"] == 5
        return [one["seq"] for one in found["messages"]], found["has_more"]

    assert listed() == ([1, 2, 3, 4, 5], False)
    assert listed(limit=2) == ([4, 5], True)
    assert listed(limit=2, before=4) == ([2, 3], True)
    assert listed(limit=2, before=said[2]["id"]) == ([1, 2], False)
    assert listed(limit=2, after=2) == ([3, 4], True)
    assert listed(after=said[3]["id"]) == ([5], False)
    assert listed(after=0) == ([1, 2, 3, 4, 5], False)
    assert listed(after=5) == listed(after=99) == ([], False)
    path = f"/sessions/{session_id}/messages"
    holder.refused(404, "NOT_FOUND", "GET", path, query_string={"before": "msg_nope"})


def test_a_retry(holder: Caller, nobody_answers: None) -> None:
    """A client_id, and an Idempotency-Key, make a retry harmless."""
    session_id = holder.begin()["session_id"]
    first = holder.say(session_id, "once", client_id="c-1")
    assert holder.say(session_id, "once", client_id="c-1") == first
    body = {"session_id": session_id, "content": "another"}
    options = {"headers": {"Idempotency-Key": "k-1"}}
    second = holder.done("POST", "/messages", body, **options)
    assert holder.done("POST", "/messages", body, **options) == second
    assert holder.heard(session_id)["total"] == 2


def test_a_creation_again(holder: Caller) -> None:
    """An Idempotency-Key begins one session, and gives its token again."""
    options = {"headers": {"Idempotency-Key": "k-1"}}
    first = holder.done("POST", "/sessions", {"user_id": "u"}, **options)
    assert holder.done("POST", "/sessions", {"user_id": "u"}, **options) == first


def test_large_metadata(holder: Caller, public: Api, nobody_answers: None) -> None:
    """What a caller keeps with a message or a session is small over HTTP as over WebSocket."""
    begun = holder.begin()
    session_id, path = begun["session_id"], f"/sessions/{begun['session_id']}"
    deep: dict[str, Any] = {}
    for _ in range(20):
        deep = {"a": deep}
    holder.say(session_id, metadata={"a": "x" * 8180})
    for large in ({"a": "x" * 8190}, deep):
        for method, where, name, body in (
            ("POST", "/sessions", "metadata", {"user_id": "u"}),
            ("POST", "/sessions", "context", {"user_id": "u"}),
            ("PUT", path, "metadata", {}),
            ("PUT", path, "context", {}),
            ("POST", "/messages", "metadata", {"session_id": session_id, "content": "x"}),
            ("POST", "/send", "metadata", {"session_id": session_id, "message": "x"}),
        ):
            answer = holder.call(method, where, {**body, name: large})
            assert list(holder.api.error(answer, 422, "VALIDATION_ERROR")["details"]) == [name]
    person = staff(public)
    for kind in ("messages", "notes"):
        where = f"/api/v1/admin/conversations/{begun['conversation_id']}/{kind}"
        sent = {"content": "x", "metadata": {"a": "x" * 8190}}
        answer = public.call("POST", where, json=sent, headers=person.headers)
        public.error(answer, 422, "VALIDATION_ERROR")


def test_sent_and_answered(holder: Caller, script: Script) -> None:
    """POST /chat/send gives the message and the AI's reply to it."""
    script.steps = ["在", "的"]
    session_id = holder.begin()["session_id"]
    found = holder.done("POST", "/send", {"session_id": session_id, "message": "在吗"})
    assert found["message"]["content"] == "在吗"
    assert (found["reply"]["content"], found["reply"]["sender_type"]) == ("在的", "ai")
    assert found["reply"]["reply_to"] == found["message"]["id"]
    assert found["pending"] is False
    assert holder.heard(session_id)["messages"] == [found["message"], found["reply"]]


def test_sent_at_once(holder: Caller, runtime: Runtime, script: Script) -> None:
    """Who waits for two replies in a session waits for no third, and others may."""
    script.steps = ["好"]
    session_id, other = holder.begin()["session_id"], holder.begin("other")["session_id"]
    contact = runtime.read(lambda session: session.get_one(ChatSession, session_id).contact_id)
    slots = runtime.reply_slots("public")
    body = {"session_id": session_id, "message": "x"}
    with contextlib.ExitStack() as waiting:
        for _ in range(2):
            waiting.enter_context(slots.had_by(f"{session_id}:{contact}", 2))
        holder.refused(429, "RATE_001", "POST", "/send", body)
        assert holder.heard(session_id)["total"] == 0
        holder.done("POST", "/send", {**body, "session_id": other})
    assert holder.done("POST", "/send", body)["message"]["seq"] == 1


def test_sent_and_replied_to_oneself(runtime: Runtime, nobody_answers: None) -> None:
    """A contact that replies to its own message isn't taken for the AI."""
    talk = made.talk(runtime)
    message = talk.say()
    talk.say("me", reply_to=message["id"])
    assert sending.wait_for_reply(runtime, message, 0.0) == (None, True)
    talk.say("AI", sender_type="ai", reply_to=message["id"])
    found = sending.wait_for_reply(runtime, message, 0.0)
    assert found.message is not None
    assert found.message["content"] == "AI"


def test_sent_to_a_person(holder: Caller, script: Script) -> None:
    """While a person has the conversation, and when no provider answers, there is no reply."""
    session_id = holder.begin()["session_id"]
    script.steps = [Failure.UNAVAILABLE]
    for _ in range(2):
        found = holder.done("POST", "/send", {"session_id": session_id, "message": "在吗"})
        assert (found["reply"], found["pending"]) == (None, False)
    assert len(script.asks) == 1
    assert holder.done("GET", f"/sessions/{session_id}")["agent_type"] == "human"


def test_switched(holder: Caller, nobody_answers: None) -> None:
    """A contact may ask for a person, and for the AI again."""
    begun = holder.begin()
    contact = Caller(holder.api, begun["token"])
    path = f"/sessions/{begun['session_id']}/switch-agent"
    shown = contact.done("POST", path, {"agent_type": "human", "reason": "太难了"})
    assert (shown["agent_type"], shown["conversation_status"]) == ("human", "pending")
    (told,) = contact.heard(begun["session_id"])["messages"]
    assert (told["sender_type"], told["content"]) == ("system", str(handoff.WAITING))
    shown = contact.done("POST", path, {"agent_type": "ai"})
    assert (shown["agent_type"], shown["conversation_status"]) == ("ai", "open")


def test_begun_with_a_person(holder: Caller) -> None:
    """A session may begin with a person instead of the AI."""
    begun = holder.begin(agent_type="human")
    assert (begun["agent_type"], begun["conversation_status"]) == ("human", "pending")


def test_feedback(holder: Caller, public: Api, runtime: Runtime, script: Script) -> None:
    """A contact rates a reply, and the conversation with it; its own words and others' it can't."""
    begun = holder.begin()
    contact = Caller(public, begun["token"])
    found = contact.done("POST", "/send", {"session_id": begun["session_id"], "message": "x"})
    path = f"/messages/{found['reply']['id']}/feedback"
    rated = contact.done("POST", path, {"rating": 5, "comment": "谢谢"})
    assert rated["rating"] == 5
    conversation = runtime.read(lambda session: service.get(session, begun["conversation_id"]))
    assert (conversation.satisfaction, conversation.satisfaction_comment) == (5, "谢谢")
    own = f"/messages/{found['message']['id']}/feedback"
    contact.refused(404, "NOT_FOUND", "POST", own, {"rating": 1})
    stranger = Caller(public, holder.begin("another")["token"])
    stranger.refused(404, "NOT_FOUND", "POST", path, {"rating": 1})
    staff(public).refused(404, "NOT_FOUND", "POST", path, {"rating": 1})


def test_five_sessions(holder: Caller, public: Api) -> None:
    """A user has at most five open sessions, also when it asks for ten at once."""
    calls = [post(SESSIONS, {"user_id": "many"}, headers=holder.headers)] * 10
    assert statuses(at_once(public, calls)) == {200: 5, 409: 5}
    holder.refused(409, "CHAT_006", "POST", "/sessions", {"user_id": "many"})
    holder.begin("somebody else")


def test_gone_on_with(holder: Caller, public: Api, nobody_answers: None) -> None:
    """A key may go on with a conversation of the same contact and agent that isn't closed."""
    first = holder.begin("u")
    holder.say(first["session_id"], "before")
    again = holder.begin("u", conversation_id=first["conversation_id"])
    assert again["conversation_id"] == first["conversation_id"]
    assert holder.heard(again["session_id"])["total"] == 1
    for user_id, conversation_id in (("v", first["conversation_id"]), ("u", "conv_nope")):
        body = {"user_id": user_id, "conversation_id": conversation_id}
        holder.refused(404, "CHAT_001", "POST", "/sessions", body)


def test_guests(public: Api, api: Api, open_agent: dict[str, Any], nobody_answers: None) -> None:
    """A guest begins a session where the tenant allows it, and uses it by its token alone."""
    guest = Caller(public)
    begun = guest.begin(agent_id=open_agent["id"])
    assert begun["is_guest"] is True
    mine = Caller(public, begun["token"])
    mine.say(begun["session_id"])
    assert mine.heard(begun["session_id"])["total"] == 1
    guest.refused(401, "AUTH_006", "GET", f"/sessions/{begun['session_id']}")
    for agent_id in (factories.agent(api)["id"], "agent_nope"):
        body = {"user_id": "u", "agent_id": agent_id}
        guest.refused(401, "AUTH_006", "POST", "/sessions", body)


@pytest.mark.parametrize("chatty", ["yes", 1, None, False])
def test_only_true_lets_guests_in(chatty: Any, api: Api, public: Api) -> None:
    """Only guest_chat true lets guests in, and nothing that is like it."""
    tenant = factories.tenant(api, tenant_config={"guest_chat": chatty})
    body = {"user_id": "u", "agent_id": factories.agent(api, tenant["id"])["id"]}
    Caller(public).refused(401, "AUTH_006", "POST", "/sessions", body)


def test_guests_are_strangers(
    api: Api, public: Api, open_agent: dict[str, Any], nobody_answers: None
) -> None:
    """A guest that names another's user_id sees nothing of what that one said, guest or not."""
    holder = Caller(public, factories.api_key(api, open_agent)["api_key"])
    known, guest = holder.begin("bob"), Caller(public).begin("bob", agent_id=open_agent["id"])
    for one in (known, guest):
        Caller(public, one["token"]).say(one["session_id"], "a secret")
    for named in (None, known["conversation_id"], guest["conversation_id"]):
        body = {"user_id": "bob", "agent_id": open_agent["id"], "conversation_id": named}
        if named is not None:
            Caller(public).refused(404, "CHAT_001", "POST", "/sessions", body)
            continue
        begun = Caller(public).done("POST", "/sessions", body)
        sly = Caller(public, begun["token"])
        assert sly.heard(begun["session_id"])["total"] == 0
        for other in (known, guest):
            assert other["conversation_id"] != begun["conversation_id"]
            sly.refused(404, "CHAT_001", "GET", f"/sessions/{other['session_id']}")
            said = {"conversation_id": other["conversation_id"], "content": "x"}
            sly.refused(404, "CHAT_001", "POST", "/messages", said)
    assert holder.done("GET", f"/sessions/{known['session_id']}")["is_guest"] is False


def test_guests_are_limited(public_with: Callable[..., Api], open_agent: dict[str, Any]) -> None:
    """The guests of an address begin only so many sessions a minute, though they have a login
    elsewhere; other addresses may still, and staff."""
    guest = Caller(public_with(guest_sessions_per_minute=3))
    for number in range(3):
        guest.begin(f"u-{number}", agent_id=open_agent["id"])
    body = {"user_id": "u-9", "agent_id": open_agent["id"]}
    answer = guest.call("POST", "/sessions", body)
    guest.api.error(answer, 429, "RATE_001")
    assert int(answer.headers["Retry-After"]) <= 60
    elsewhere = {"environ_base": {"REMOTE_ADDR": "198.51.100.7"}}
    assert guest.call("POST", "/sessions", body, **elsewhere).status_code == 200
    stranger = Caller(guest.api, users.person(guest.api, "user").tokens["access_token"])
    stranger.refused(429, "RATE_001", "POST", "/sessions", body)
    assert staff(guest.api).begin(agent_id=open_agent["id"])["is_guest"] is False


def test_logins(public: Api, api: Api, open_agent: dict[str, Any]) -> None:
    """The owner of an agent vouches for a contact, another login is a guest, or unknown there."""
    owner, other = users.person(public), users.person(public)
    own = owner.made("/api/v1/agents/", {"name": "own"})
    mine = Caller(public, owner.tokens["access_token"])
    theirs = Caller(public, other.tokens["access_token"])
    assert mine.begin(agent_id=own["id"])["is_guest"] is False
    body = {"user_id": "u", "agent_id": own["id"]}
    theirs.refused(404, "AGENT_001", "POST", "/sessions", body)
    as_guest = theirs.begin(agent_id=open_agent["id"])
    assert as_guest["is_guest"] is True
    assert theirs.done("GET", f"/sessions/{as_guest['session_id']}")["user_id"] == "visitor"
    mine.refused(404, "CHAT_001", "GET", f"/sessions/{as_guest['session_id']}")


def test_foreign_sessions(holder: Caller, api: Api, public: Api) -> None:
    """To whoever may not use it a session looks like one that isn't there, whatever is asked."""
    session_id = holder.begin()["session_id"]
    strangers = [
        Caller(public, holder.begin("another")["token"]),
        Caller(public, factories.api_key(api)["api_key"]),
        Caller(public, users.person(public).tokens["access_token"]),
        Caller(public, users.person(public, "guest").tokens["access_token"]),
    ]
    calls = [
        ("GET", "/sessions/{}", None),
        ("PUT", "/sessions/{}", {}),
        ("DELETE", "/sessions/{}", None),
        ("GET", "/sessions/{}/messages", None),
        ("POST", "/sessions/{}/switch-agent", {"agent_type": "human"}),
        ("POST", "/messages", {"session_id": "{}", "content": "x"}),
        ("POST", "/send", {"session_id": "{}", "message": "x"}),
    ]
    for stranger in strangers:
        for method, path, body in calls:
            told = []
            for one in (session_id, "sess_nope"):
                sent = body and {name: one if text == "{}" else text for name, text in body.items()}
                answer = stranger.call(method, path.format(one), sent)
                error = stranger.api.error(answer, 404, "CHAT_001")
                told.append({name: error[name] for name in ("message", "error", "error_code")})
            assert told[0] == told[1]


def test_staff(holder: Caller, public: Api, runtime: Runtime, nobody_answers: None) -> None:
    """Staff see a session with its notes, answer in it, which takes it over, and one is first."""
    begun = holder.begin()
    session_id = begun["session_id"]
    holder.say(session_id, "help")
    (chat,) = runtime.read(lambda session: session.query(ChatSession).filter_by(id=session_id))
    one, other = staff(public), staff(public)
    said = one.say(session_id, "here I am")
    assert (said["sender_type"], said["session_id"]) == ("agent", None)
    note = {"sender_type": "agent", "sender_id": said["sender_id"], "is_private": True}
    made.Talk(runtime, chat).say("a note", **note)
    assert [m["content"] for m in one.heard(session_id)["messages"]] == [
        "help", "here I am", "a note",
    ]  # fmt: skip
    assert holder.heard(session_id)["total"] == 2
    answer = other.call("POST", "/messages", {"session_id": session_id, "content": "me too"})
    error = other.api.error(answer, 409, "CHAT_005")
    assert error["details"]["assignee_id"] == [said["sender_id"]]


def test_what_another_person_has(holder: Caller, public: Api, runtime: Runtime) -> None:
    """Who may not manage takes nothing away from the person who has a conversation; what staff do
    is in the audit log."""
    session_id = holder.begin(agent_type="human")["session_id"]
    path = f"/sessions/{session_id}"
    one, other, boss = staff(public), staff(public), staff(public, "admin")
    one.say(session_id, "here I am")
    for call in (
        ("POST", f"{path}/switch-agent", {"agent_type": "ai"}),
        ("PUT", path, {"status": "closed"}),
        ("PUT", path, {"metadata": {"a": 1}}),
        ("DELETE", path),
    ):
        other.refused(403, "AUTH_008", *call)
    assert one.done("PUT", path, {"metadata": {"a": 1}})["metadata"] == {"a": 1}
    switched = boss.done("POST", f"{path}/switch-agent", {"agent_type": "ai"})
    assert (switched["agent_type"], switched["assignee_id"]) == ("ai", None)
    assert other.call("DELETE", path).status_code == 204
    kept = runtime.read(lambda session: session.query(AuditLog).order_by(AuditLog.id).all())
    ids = (session_id, switched["conversation_id"])
    assert [row.action for row in kept if row.resource_id in ids] == [
        "session.update", "conversation.switch", "session.close",
    ]  # fmt: skip


def test_restricted_staff(holder: Caller, public: Api, runtime: Runtime) -> None:
    """Staff who serve other tenants don't find a session here."""
    path = f"/sessions/{holder.begin()['session_id']}"
    person = users.person(public, "agent")
    caller = Caller(public, person.tokens["access_token"])
    assert caller.call("GET", path).status_code == 200
    runtime.write(
        lambda session: setattr(session.get_one(made.User, person.id), "serves_all_tenants", False)
    )
    caller.refused(404, "CHAT_001", "GET", path)


def test_bad_tokens(holder: Caller, public: Api) -> None:
    """A session's token that was changed, or is for a session that isn't there, is no good."""
    begun, other = holder.begin(), holder.begin("other")
    path = f"/sessions/{begun['session_id']}"
    session_id, key_id, mac = begun["token"].removeprefix("mms_").split(".")
    flipped = mac[:-1] + ("0" if mac[-1] != "0" else "1")
    others = other["token"].rpartition(".")[2]
    for token in (
        f"mms_{session_id}.{key_id}.{flipped}",
        f"mms_{session_id}.{key_id}.{others}",
        f"mms_{session_id}.00000000.{mac}",
        f"mms_sess_nope.{key_id}.{mac}",
        "mms_", "mms_x", begun["token"] + "0",
    ):  # fmt: skip
        Caller(public, token).refused(401, "AUTH_006", "GET", path)
    body = {"user_id": "u", "agent_id": begun["agent_id"]}
    Caller(public, begun["token"]).refused(401, "AUTH_006", "POST", "/sessions", body)


def test_suspended(holder: Caller, public: Api, api: Api) -> None:
    """What a tenant's or an agent's session tokens open is shut at once while it is suspended."""
    begun = holder.begin()
    contact, path = Caller(public, begun["token"]), f"/sessions/{begun['session_id']}"
    for owner, on, off, code in (
        (f"/api/v2/tenants/{begun['tenant_id']}", "active", "suspended", "TENANT_003"),
        (f"/api/v2/agents/{begun['agent_id']}", "active", "inactive", "AGENT_005"),
    ):
        api.data(api.put(owner, {"status": off}))
        contact.refused(403, code, "GET", path)
        api.data(api.put(owner, {"status": on}))
        assert contact.done("GET", path)["status"] == "active"


def test_on_the_internal_plane(holder: Caller, api: Api) -> None:
    """What acts for a contact needs its token on the trusted network too."""
    begun = holder.begin()
    path = f"/sessions/{begun['session_id']}"
    Caller(api).refused(401, "AUTH_006", "GET", path)
    assert Caller(api, begun["token"]).done("GET", path)["session_id"] == begun["session_id"]


def test_messages_are_limited(
    public_with: Callable[..., Api], open_agent: dict[str, Any], nobody_answers: None
) -> None:
    """A contact says so much in a minute and no more, by either call; a refusal keeps nothing."""
    guest = Caller(public_with(realtime_messages_per_minute=3))
    begun = guest.begin("u", agent_id=open_agent["id"])
    visitor = Caller(guest.api, begun["token"])
    said = {"session_id": begun["session_id"], "content": "x"}
    for left in (2, 1, 0):
        answer = visitor.call("POST", "/messages", said)
        assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (200, str(left))
    for path, body in (
        ("/messages", said),
        ("/send", {"session_id": begun["session_id"], "message": "x"}),
    ):
        answer = visitor.call("POST", path, body)
        visitor.api.error(answer, 429, "RATE_001")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["RateLimit-Remaining"] == "0"
    switch = f"/sessions/{begun['session_id']}/switch-agent"
    visitor.refused(429, "RATE_001", "POST", switch, {"agent_type": "human"})
    found = visitor.done("GET", f"/sessions/{begun['session_id']}/messages")
    assert [message["seq"] for message in found["messages"]] == [1, 2, 3]


def test_what_may_be_said(
    public_with: Callable[..., Api], holder: Caller, nobody_answers: None
) -> None:
    """Blank messages, and longer ones than the setting allows, are refused as the gateway does;
    of a contact by either call, and of staff."""
    short = public_with(realtime_message_length=5)
    begun = holder.begin()
    visitor = Caller(short, begun["token"])
    answering = f"/api/v1/admin/conversations/{begun['conversation_id']}/messages"
    colleague = users.person(short, "agent")
    for content in ("", " ", "\n\t\u3000", "六个字的话呀"):
        for path, field in (("/messages", "content"), ("/send", "message")):
            body = {"session_id": begun["session_id"], field: content}
            answer = visitor.call("POST", path, body)
            assert set(short.error(answer, 422, "VALIDATION_ERROR")["details"]) == {field}
        short.error(colleague.post(answering, {"content": content}), 422, "VALIDATION_ERROR")
    visitor.say(begun["session_id"], "五个字的话")
    assert users.plain(colleague.post(answering, {"content": " 好 "}))["content"] == " 好 "


def test_behind_the_internal_token(api_with: Callable[..., Api], holder: Caller) -> None:
    """A session's token opens it on an internal plane that is locked, where the lock's own token
    opens no session."""
    lock = "a-token-for-the-lock"
    client, begun = api_with(internal_token=lock).client, holder.begin()
    path = f"{SESSIONS}/{begun['session_id']}"
    for token, status in ((lock, 401), (begun["token"], 200)):
        answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status


def test_answered_in_the_background(holder: Caller, runtime: Runtime, script: Script) -> None:
    """A message that is only stored is answered too."""
    begun = holder.begin()
    holder.say(begun["session_id"])
    until(lambda: holder.heard(begun["session_id"])["total"] == 2)
    owed = runtime.read(lambda session: session.query(OwedReply).count())
    said = runtime.read(lambda session: session.query(ConversationMessage).count())
    assert (owed, said) == (0, 2)
