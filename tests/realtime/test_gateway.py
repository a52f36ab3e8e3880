"""The gateway over real sockets, on both databases."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from maimconfig import clock
from maimconfig.api_keys import service as api_keys
from maimconfig.audit.models import AuditLog
from maimconfig.contacts import directory
from maimconfig.events import Passing
from maimconfig.realtime import frames
from maimconfig.realtime import gateway as gateway_module
from maimconfig.realtime import joined as joined_module
from maimconfig.realtime import peer as peer_module
from maimconfig.runtime import Runtime
from maimconfig.sessions import changes
from maimconfig.settings import load_settings
from maimconfig.users import sessions as logins
from maimconfig.users.login import Login
from maimconfig.users.models import User
from tests.factories.conversations import Talk, agent, staff, talk
from tests.realtime.harness import Client, RunningGateway, login_of, raw_connection, token_of
from tests.servers.mariadb import MariaDB, fresh_database
from tests.serving.harness import eventually

With = Callable[..., RunningGateway]

UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ESTABLISHED = 1  # linux/include/net/tcp_states.h


@pytest.fixture
def chat(runtime: Runtime) -> Talk:
    """A contact's session, in which a person answers, so that the AI keeps out of it."""
    return talk(runtime, agent_type="human")


@pytest.fixture
def guest(gateway: RunningGateway, chat: Talk) -> Any:
    """The contact, logged in by the session's own token."""
    with gateway.client(token_of(chat)) as found:
        yield found


def test_greeting(gateway: RunningGateway) -> None:
    """The first frame says which connection it is, what time, and how often it is pinged."""
    with gateway.client() as found:
        assert set(found.connection) == {"connection_id", "server_time", "heartbeat_seconds"}
        assert found.connection["heartbeat_seconds"] == 30


def test_message(guest: Client, chat: Talk) -> None:
    """A message is answered once it is stored, and told to who listens, with its seq."""
    joined = guest.join(chat)
    assert joined["conversation_id"] == chat.id
    guest.say(chat, "你好", client_id="c1", id="f1")
    found = {frame["type"]: frame for frame in (guest.next(), guest.next())}
    sent, told = found["message_sent"], found["message"]["data"]
    assert (sent["id"], sent["data"]["client_id"]) == ("f1", "c1")
    assert (told["id"], told["seq"]) == (sent["data"]["message_id"], joined["last_seq"] + 1)
    assert (told["content"], told["sender_type"]) == ("你好", "contact")


def test_retry(guest: Client, chat: Talk) -> None:
    """A client_id already seen gets the first answer again, and nothing is told twice."""
    guest.join(chat)
    guest.say(chat, client_id="c1")
    first = {frame["type"]: frame["data"] for frame in (guest.next(), guest.next())}["message_sent"]
    guest.say(chat, client_id="c1")
    assert guest.receive("message_sent") == first
    assert guest.silence() == []


def test_order(guest: Client, chat: Talk) -> None:
    """What a client sends without waiting is stored in the order in which it was sent."""
    first = guest.join(chat)["last_seq"] + 1
    for number in range(40):
        guest.say(chat, f"message {number}")
    told = [guest.until("message") for _ in range(40)]
    assert [one["content"] for one in told] == [f"message {number}" for number in range(40)]
    assert [one["seq"] for one in told] == list(range(first, first + 40))


@pytest.mark.parametrize("way", ["frame", "parameter", "header"])
def test_ways_to_log_in(gateway: RunningGateway, chat: Talk, way: str) -> None:
    """A token is shown in the first frame, as a parameter, or in the Authorization header."""
    token = token_of(chat)
    if way == "frame":
        found = gateway.client()
        found.send("auth", token=token)
    elif way == "parameter":
        found = Client(f"{gateway.url}?token={token}")
    else:
        headers = {"Authorization": f"Bearer {token}"}
        found = Client(gateway.url, additional_headers=headers)
    with found:
        shown = found.receive("auth")
        whose = {"user_id": chat.chat.user_id, "session_id": chat.chat.id}
        assert shown == {"status": "authenticated", **whose}
        assert found.join(chat)["session_id"] == chat.chat.id


def test_kinds_of_tokens(gateway: RunningGateway, runtime: Runtime) -> None:
    """The session's token, its agent's key and staff may join; others find no such session."""
    chat = talk(runtime, agent_type="human")
    key = _key(runtime, chat.chat.tenant_id, chat.chat.agent_id)
    good = [token_of(chat), key, login_of(runtime, staff(runtime, "agent"))]
    foreign = agent(runtime)
    bad = [
        token_of(talk(runtime)),
        _key(runtime, *foreign),
        login_of(runtime, staff(runtime, "user")),
    ]
    for token in good:
        with gateway.client(token) as found:
            found.join(chat)
    for token in bad:
        with gateway.client(token) as found:
            found.send("join_session", session_id=chat.chat.id)
            unknown = found.receive("error")
            found.send("join_session", session_id="sess_unknown")
            assert found.receive("error") == unknown
            assert unknown["code"] == "SESSION_NOT_FOUND"
            found.say(chat)
            assert found.receive("error")["code"] == "SESSION_NOT_FOUND"


def test_session_of_the_path(gateway: RunningGateway, chat: Talk) -> None:
    """/ws/chat/{session_id} joins that session at the login, after after_seq where that's given,
    and its frames need not name it.
    """
    for number in range(3):
        chat.say(f"message {number}")
    last = chat.now().next_seq - 1
    url = f"{gateway.url}/chat/{chat.chat.id}?after_seq={last - 2}"
    with Client(url, additional_headers={"Authorization": f"Bearer {token_of(chat)}"}) as found:
        found.receive("auth")
        assert found.receive("session_joined")["last_seq"] == last
        assert found.seqs(2) == [last - 1, last]
        found.send("message", content="hello")
        assert found.until("message")["seq"] == last + 1


def test_late_login(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who doesn't log in within the time is closed with 4401, and pings don't help."""
    monkeypatch.setattr(frames, "LOGIN_SECONDS", 1.0)
    with gateway.client() as found:
        found.send("ping")
        found.receive("pong")
        assert found.closed() == 4401


def test_one_bad_peer(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong with one client costs the others nothing of what is done every second."""
    monkeypatch.setattr(frames, "LOGIN_SECONDS", 1.0)
    good_one = peer_module.Peer.look_after
    seen: list[peer_module.Peer] = []

    def look_after(peer: peer_module.Peer, now: float) -> None:
        seen.append(peer)
        if peer is seen[0]:
            raise RuntimeError
        good_one(peer, now)

    monkeypatch.setattr(peer_module.Peer, "look_after", look_after)
    with gateway.client():
        eventually(lambda: bool(seen))
        with gateway.client() as found:
            assert found.closed() == 4401


def test_wrong_token(gateway: RunningGateway) -> None:
    """A token that isn't good is refused, and the fifth closes with 4401."""
    with gateway.client() as found:
        for _ in range(5):
            found.send("auth", token="mms_nonsense")
            assert found.receive("error")["code"] == "NOT_AUTHENTICATED"
        assert found.closed() == 4401


def test_login_that_ends(
    gateway: RunningGateway, runtime: Runtime, chat: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose login has ended is closed with 4401 at the next look."""
    monkeypatch.setattr(gateway_module, "CHECK_SECONDS", 0.0)
    user_id = staff(runtime)
    with (
        gateway.client(login_of(runtime, user_id)) as found,
        gateway.client(token_of(chat)) as other,
    ):
        found.join(chat)
        runtime.write(lambda session: logins.end_all(session, user_id))
        assert found.closed() == 4401
        other.send("ping")
        other.receive("pong")


def test_staff_demoted(
    gateway: RunningGateway, runtime: Runtime, chat: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may read no longer reads nothing more: neither what was joined nor what was sent to
    nor anything else."""
    monkeypatch.setattr(gateway_module, "CHECK_SECONDS", 0.0)
    joined, other = chat, talk(runtime, agent_type="human")
    user_id = staff(runtime)
    with gateway.client(login_of(runtime, user_id)) as person:
        person.join(joined)
        person.say(other)
        person.until("message_sent")
        runtime.write(lambda session: setattr(session.get_one(User, user_id), "role", "user"))
        assert person.until("error")["code"] == "SESSION_NOT_FOUND"
        for one in (joined, other):
            person.say(one)
            assert person.receive("error")["code"] == "SESSION_NOT_FOUND"
            person.send("join_session", session_id=one.chat.id)
            assert person.receive("error")["code"] == "SESSION_NOT_FOUND"


def test_contact_merged(
    gateway: RunningGateway, runtime: Runtime, chat: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connected contact that is merged speaks as the one that stays from the next look on, so
    that what it sends again is still known."""
    kept = talk(runtime, (chat.chat.tenant_id, chat.chat.agent_id))
    user_id = staff(runtime, "admin")
    looks: list[Any] = []
    take_in = joined_module.Joined.take_in

    def counted(joined: Any, now: Any) -> list[str]:
        looks.append(now)
        return take_in(joined, now)

    monkeypatch.setattr(joined_module.Joined, "take_in", counted)
    with gateway.client(token_of(chat)) as guest:
        guest.join(chat)
        guest.say(chat, client_id="c1")
        seq = guest.until("message_sent")["seq"]
        login = Login("s", user_id, "boss", "admin", "active", clock.now(), None, True)
        runtime.write(
            lambda session: directory.merge(
                session, login, kept.chat.contact_id, chat.chat.contact_id
            )
        )
        monkeypatch.setattr(gateway_module, "CHECK_SECONDS", 0.0)
        eventually(lambda: bool(looks))
        guest.send("ping")
        guest.until("pong")
        guest.say(chat, client_id="c1")
        assert guest.until("message_sent")["seq"] == seq


def test_wrong_frames(guest: Client) -> None:
    """Wrong frames of every kind are answered with an error, and the connection stays."""
    for raw, code in (
        ("{", "INVALID_JSON"),
        ("[" * 5000, "INVALID_JSON"),
        (b"\x00\xff", "INVALID_JSON"),
        ("{}", "MISSING_TYPE"),
        ('{"type": "nonsense"}', "UNKNOWN_TYPE"),
        ('{"type": "message", "data": {"content": 5}}', "INVALID_MESSAGE_FORMAT"),
    ):
        guest.socket.send(raw)
        assert guest.receive("error")["code"] == code
    guest.send("ping")
    guest.receive("pong")


def test_too_long(gateway: RunningGateway, chat: Talk) -> None:
    """4000 characters are a message, 4001 are refused, and a frame over 1 MiB closes with 1009."""
    with gateway.client(token_of(chat)) as found:
        found.say(chat, "字" * 4000)
        found.receive("message_sent")
        found.say(chat, "字" * 4001)
        refused = found.receive("error")
        assert refused["code"] == "MESSAGE_TOO_LONG"
        assert refused["details"] == {"limit": 4000, "length": 4001}
        found.socket.send("x" * (1024 * 1024 + 1))
        assert found.closed() == 1009


def test_broken_websocket(gateway: RunningGateway) -> None:
    """Text that isn't UTF-8 closes with 1007, and garbage instead of frames harms nobody."""
    with gateway.client() as found:
        payload = b"\xff\xfe"
        masked = bytes(byte ^ 1 for byte in payload)
        found.socket.socket.sendall(b"\x81" + bytes([0x80 | len(payload)]) + b"\x01" * 4 + masked)
        assert found.closed() == 1007
    for garbage in (b"\x00" * 100, b"GET /ws HTTP/1.1\r\n\r\n", os.urandom(500)):
        with raw_connection(gateway.url) as raw:
            raw.sendall(garbage)
    with gateway.client() as found:
        found.send("ping")
        found.receive("pong")


def test_messages_a_minute(gateway_with: With) -> None:
    """A client that sends too fast is told how long to wait."""
    slow = gateway_with(realtime_messages_per_minute=2)
    chat = talk(slow.gateway.runtime, agent_type="human")
    with slow.client(token_of(chat)) as found:
        for _ in range(2):
            found.say(chat)
            found.receive("message_sent")
        found.say(chat)
        refused = found.receive("error")
        assert refused["code"] == "RATE_LIMITED"
        assert 0 < refused["details"]["retry_after"] <= 30


def test_join_while_messages_arrive(gateway: RunningGateway, chat: Talk) -> None:
    """Who joins after a seq, in the middle of a stream of messages, gets each once and in order,
    wherever the messages come from.
    """
    first = chat.now().next_seq
    total = 240
    speaking = threading.Thread(target=lambda: [chat.say(f"{n}") for n in range(total)])
    speaking.start()
    clients = []
    for _ in range(8):
        clients.append(found := gateway.client(token_of(chat)))
        found.send("join_session", session_id=chat.chat.id, after_seq=first - 1)
    seqs = [found.seqs(total) for found in clients]
    speaking.join()
    for found in clients:
        found.close()
    assert seqs == [list(range(first, first + total))] * 8


def test_long_absence(gateway: RunningGateway, chat: Talk) -> None:
    """Who was away for long gets far more than the gateway holds of a slow reader, in order."""
    first = chat.now().next_seq
    for _ in range(25):
        chat.take(*(chat.incoming("长" * 1000) for _ in range(20)))
    with gateway.client(token_of(chat)) as found:
        found.join(chat, first - 1)
        assert found.seqs(500) == list(range(first, first + 500))


def test_large_message(guest: Client, chat: Talk) -> None:
    """A frame that alone is more than a client may leave unread arrives, live and afterwards."""
    first = guest.join(chat)["last_seq"] + 1
    content = "x" * (peer_module.MOST_UNSENT + 1)
    chat.say(content)
    assert guest.until("message")["content"] == content
    chat.say(content)
    assert guest.seqs(1) == [first + 1]
    guest.join(chat, after_seq=first - 1)
    assert guest.seqs(2) == [first, first + 1]


def test_join_that_fails(
    guest: Client, chat: Talk, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A join that fails half-way closes with 1013, so that the client comes back."""
    chat.say()
    with monkeypatch.context() as broken:
        broken.setattr(joined_module, "after", None)
        assert guest.join(chat, after_seq=0)["session_id"] == chat.chat.id
        assert guest.receive("error")["code"] == "SYS_001"
        assert guest.closed() == 1013


def test_after_seq_beyond_the_end(guest: Client, chat: Talk) -> None:
    """An after_seq that doesn't exist yet gets nothing of the past, and what comes."""
    last = guest.join(chat, 10_000)["last_seq"]
    chat.say()
    assert guest.seqs(1) == [last + 1]


def test_leave(guest: Client, chat: Talk) -> None:
    """Who has left is told nothing more."""
    guest.join(chat)
    guest.send("leave_session", session_id=chat.chat.id)
    assert guest.receive("session_left") == {"session_id": chat.chat.id}
    chat.say()
    assert guest.silence() == []


def test_private_notes(gateway: RunningGateway, runtime: Runtime, chat: Talk) -> None:
    """A private note is told to staff and not to the contact, live and afterwards."""
    user_id = staff(runtime)
    with (
        gateway.client(login_of(runtime, user_id)) as person,
        gateway.client(token_of(chat)) as guest,
    ):
        for found in (person, guest):
            found.join(chat)
        note = {"sender_type": "agent", "sender_id": user_id, "is_private": True}
        chat.say("between us", **note)
        chat.say("for all", sender_type="agent", sender_id=user_id)
        assert [person.until("message")["content"] for _ in range(2)] == ["between us", "for all"]
        assert guest.until("message")["content"] == "for all"
        for found, expected in ((person, ["between us", "for all"]), (guest, ["for all"])):
            found.send("join_session", session_id=chat.chat.id, after_seq=0)
            said = [found.until("message")["content"]]
            while said[-1] != "for all":
                said.append(found.until("message")["content"])
            assert [one for one in said if one in ("between us", "for all")] == expected


def test_missed_note(gateway: RunningGateway, runtime: Runtime, chat: Talk) -> None:
    """Staff who have the last message are given the notes after it, and the contact isn't."""
    last = chat.say()["seq"]
    user_id = staff(runtime)
    chat.say("between us", sender_type="agent", sender_id=user_id, is_private=True)
    with (
        gateway.client(login_of(runtime, user_id)) as person,
        gateway.client(token_of(chat)) as guest,
    ):
        for found in (person, guest):
            assert found.join(chat, after_seq=last)["last_seq"] == last
        assert person.receive("message")["content"] == "between us"
        assert guest.silence() == []


def test_typing_and_read(gateway: RunningGateway, runtime: Runtime, chat: Talk) -> None:
    """Typing is told to the others and not to who types; what was read is told."""
    user_id = staff(runtime)
    chat.say()
    with (
        gateway.client(login_of(runtime, user_id)) as person,
        gateway.client(token_of(chat)) as guest,
    ):
        person.join(chat)
        last = guest.join(chat)["last_seq"]
        guest.send("typing", session_id=chat.chat.id, is_typing=True)
        assert person.until("typing") == {
            "session_id": chat.chat.id,
            "side": "contact",
            "user_id": chat.chat.user_id,
            "is_typing": True,
        }
        person.send("read", session_id=chat.chat.id, seq=last)
        assert guest.until("read") == {"session_id": chat.chat.id, "side": "staff", "seq": last}
        assert "typing" not in guest.silence()


def test_hand_over(gateway: RunningGateway, runtime: Runtime) -> None:
    """Asking for a person, and giving back to the AI, are told to all; who asked is answered."""
    chat = talk(runtime)
    person_id = staff(runtime)
    with (
        gateway.client(login_of(runtime, person_id)) as person,
        gateway.client(token_of(chat)) as guest,
    ):
        for found in (person, guest):
            found.join(chat)
        guest.send("system", session_id=chat.chat.id, action="request_handover", id="h")
        while (answer := guest.next()).get("id") != "h":
            pass
        assert (answer["type"], answer["data"]["agent_type"]) == ("status_update", "human")
        assert person.until("message")["metadata"]["reason"] == "requested"
        assert person.until("status_update")["agent_type"] == "human"
        person.send("system", session_id=chat.chat.id, action="ai_takeover")
        while guest.until("status_update")["agent_type"] != "ai":
            pass


def test_hand_over_refused(
    gateway: RunningGateway, runtime: Runtime, guest: Client, chat: Talk
) -> None:
    """Staff who may not manage give nothing of another's to the AI, and a contact whose session
    has ended asks for nothing."""
    one, other = staff(runtime), staff(runtime)
    chat.say("mine", sender_type="agent", sender_id=one)
    with gateway.client(login_of(runtime, other)) as person:
        person.send("system", session_id=chat.chat.id, action="ai_takeover")
        assert person.until("error")["code"] == "FORBIDDEN"
    runtime.write(lambda session: changes.close(session, chat.chat.id))
    guest.send("system", session_id=chat.chat.id, action="ai_takeover")
    assert guest.until("error")["code"] == "CHAT_005"
    assert chat.now().assignee_id == one
    with gateway.client(login_of(runtime, one)) as person:
        person.send("system", session_id=chat.chat.id, action="ai_takeover")
        assert person.until("status_update")["agent_type"] == "ai"
    kept = runtime.read(lambda session: session.query(AuditLog).filter_by(actor=one).all())
    assert [row.action for row in kept] == ["conversation.switch"]


def test_end_of_a_session(guest: Client, chat: Talk, runtime: Runtime) -> None:
    """A session that is closed is told to who listens, and takes no more messages."""
    guest.join(chat)
    runtime.write(lambda session: changes.close(session, chat.chat.id))
    while guest.until("status_update")["session_status"] != "closed":
        pass
    guest.say(chat)
    assert guest.until("error")["code"] == "CHAT_005"


def test_ai_stream(guest: Client, chat: Talk, runtime: Runtime) -> None:
    """Parts of an answer are told as they come; what is for staff alone isn't."""
    guest.join(chat)
    part = {"message_id": "msg_1", "delta": "你", "is_complete": False}
    runtime.bus.publish(Passing(chat.id, "ai_stream", part, staff_only=True))
    runtime.bus.publish(Passing(chat.id, "ai_stream", part))
    assert guest.receive("ai_stream") == {**part, "session_id": chat.chat.id}
    assert guest.silence() == []


def test_lost_events(
    gateway: RunningGateway, runtime: Runtime, chat: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message whose event was lost is told all the same, by the next look at the database."""
    with gateway.client(token_of(chat)) as found:
        last = found.join(chat)["last_seq"]
        monkeypatch.setattr(runtime.bus, "publish", lambda event: None)
        chat.say()
        assert found.until("message")["seq"] == last + 1


def test_origins(gateway_with: With) -> None:
    """A page may connect when its origin is listed or on this host; none is no page."""
    listed = gateway_with(cors_origins=("https://chat.example.com",))
    port = listed.url.rpartition(":")[2].partition("/")[0]
    for origin in (None, "https://chat.example.com", "http://127.0.0.1:8880", "http://localhost"):
        Client(listed.url, origin=origin).close()
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "https://["):
        assert refused(listed.url, origin=origin) == 403
    assert refused(f"ws://127.0.0.1:{port}/other") == 404
    assert refused(f"{listed.url}?after_seq=-1") == 400


def test_connections_per_address(gateway_with: With) -> None:
    """An address has so many connections and no more; behind a trusted proxy it is the client's,
    and one that goes makes room.
    """
    few = gateway_with(
        realtime_connections_per_address=2,
        trusted_proxies=(ipaddress.ip_network("127.0.0.0/8"),),
    )
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    clients = [Client(few.url, additional_headers=forwarded) for _ in range(2)]
    assert refused(few.url, additional_headers=forwarded) == 429
    Client(few.url, additional_headers={"X-Forwarded-For": "192.0.2.2"}).close()
    clients[0].close()
    eventually(lambda: _connects(few.url, forwarded))


def test_health(gateway: RunningGateway) -> None:
    """A load balancer may ask whether it is there."""
    url = gateway.url.replace("ws://", "http://").removesuffix("/ws")
    assert httpx.get(f"{url}/health").json() == {"status": "healthy"}


def test_slow_reader(gateway: RunningGateway, runtime: Runtime) -> None:
    """A client that stops reading is gone, and others get all the same what is said."""
    chat = talk(runtime, agent_type="human")
    with gateway.client(token_of(chat)) as good, raw_connection(gateway.url) as bad:
        first = good.join(chat)["last_seq"] + 1
        _join_without_reading(bad, chat)
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            said = pool.submit(_talk_until, chat, stop)
            begun = time.monotonic()
            eventually(lambda: _tcp_state(bad) != ESTABLISHED)
            seconds = time.monotonic() - begun
            stop.set()
            total = said.result()
        assert good.seqs(total) == list(range(first, first + total))
        assert seconds < 30  # 10 on a quiet machine; benchmarks/realtime.py measures it


@pytest.mark.parametrize(("restart", "code"), [(False, 1001), (True, 1012)])
def test_drain(gateway: RunningGateway, chat: Talk, restart: bool, code: int) -> None:
    """At a stop who is connected gets answers to what was sent, then 1001; 1012 at a restart."""
    with gateway.client(token_of(chat)) as found:
        for number in range(30):
            found.say(chat, client_id=f"c{number}")
        gateway.drain(restart=restart)
        answered = [one["data"]["client_id"] for one in found.rest()]
        assert answered == [f"c{number}" for number in range(30)]
        assert found.closed() == code
        assert chat.now().next_seq - 1 >= 30


def test_silent_peer(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent is pinged, and cut when no byte comes back; who answers pings stays."""
    monkeypatch.setattr(peer_module, "HEARTBEAT_SECONDS", 0.5)
    monkeypatch.setattr(peer_module, "SILENCE_SECONDS", 3.0)
    monkeypatch.setattr(frames, "LOGIN_SECONDS", 1000.0)
    with gateway.client() as good, raw_connection(gateway.url) as silent:
        silent.sendall(UPGRADE.format(path="/ws").encode())
        seen = b""
        with contextlib.suppress(ConnectionResetError):
            while part := silent.recv(4096):
                seen += part
        assert b"\x89\x00" in seen  # a ping without a payload (RFC 6455, 5.2)
        good.send("ping")
        good.receive("pong")


def test_outage(private_mariadb: MariaDB, tmp_path: Path) -> None:
    """While the database is away a message is refused with SYS_002 and the connection stays; sent
    again when it's back, it is stored once.
    """
    with contextlib.ExitStack() as ends:
        url = ends.enter_context(fresh_database(private_mariadb.url))
        settings = load_settings({"MAIMCONFIG_INSTANCE": str(tmp_path), "DATABASE_URL": url})
        runtime = Runtime.open(settings, auto_migrate=True)
        ends.callback(runtime.close)
        running = RunningGateway(runtime)
        ends.callback(running.end)
        chat = talk(runtime, agent_type="human")
        found = ends.enter_context(running.client(token_of(chat)))
        last = found.join(chat)["last_seq"]
        private_mariadb.stop()
        found.say(chat, client_id="c1")
        assert found.until("error")["code"] == "SYS_002"
        private_mariadb.start()
        for _ in range(2):
            found.say(chat, client_id="c1")
            assert found.until("message_sent")["seq"] == last + 1


def refused(url: str, **given: Any) -> int:
    """The status with which a handshake is refused; what is so for now says when to come again."""
    with pytest.raises(InvalidStatus) as found:
        Client(url, **given)
    status: int = found.value.response.status_code
    assert ("Retry-After" in found.value.response.headers) == (status in (429, 503))
    return status


def _connects(url: str, headers: dict[str, str]) -> bool:
    try:
        Client(url, additional_headers=headers).close()
    except InvalidStatus:
        return False
    return True


def _key(runtime: Runtime, tenant_id: str, agent_id: str) -> str:
    """An API key of an agent, that may chat."""

    def create(session: Any) -> str:
        made = api_keys.create(
            session, tenant_id=tenant_id, agent_id=agent_id, name="a key", permissions=["chat"]
        )
        return api_keys.secret_of(session, made)

    return runtime.write(create)


def _join_without_reading(raw: socket.socket, chat: Talk) -> None:
    """Open a WebSocket, join, and never read again."""
    path = f"/ws/chat/{chat.chat.id}?token={token_of(chat)}"
    raw.sendall(UPGRADE.format(path=path).encode())
    seen = b""
    while b"session_joined" not in seen:
        seen += raw.recv(4096)


def _talk_until(chat: Talk, stop: threading.Event) -> int:
    """Say long things until told to stop; how many."""
    said = 0
    while not stop.wait(0.02):
        chat.say("长" * 4000)
        said += 1
    return said


def _tcp_state(raw: socket.socket) -> int:
    """The state of a connection (tcp(7), TCP_INFO)."""
    return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
