"""Gateways in processes of their own: told of each other's messages, stopped, killed, restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.contract.harness import workers_of
from tests.factories.conversations import agent, talk
from tests.realtime.churn import churn, faults
from tests.realtime.fleet import fleet
from tests.realtime.harness import Client, token_of
from tests.servers.redis import Redis
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

MEMBERS = int(os.environ.get("MAIMCONFIG_TEST_CHURN_CLIENTS", "8"))
CUTS = int(os.environ.get("MAIMCONFIG_TEST_CHURN_CUTS", "3"))


def test_churn(database_url: str, tmp_path: Path, private_redis: Redis) -> None:
    """Clients that are cut at random, with gateways stopped and killed and Redis stopped and
    started meanwhile, end with every message once and in order.
    """
    with fleet(tmp_path, database_url, 2, private_redis) as ours:
        members = ours.members(MEMBERS)
        asyncio.run(churn(members, CUTS, ours.harms(1), ours.last_seq))
        assert faults(members) == []
        assert sum(len(member.sent) for member in members) > MEMBERS
        for service in ours.services:
            assert "Traceback" not in service.log, service.log


@pytest.mark.parametrize("with_redis", [True, False])
def test_two_gateways(tmp_path: Path, redis_url: str, with_redis: bool) -> None:
    """What one gateway stores is told by another: at once with Redis, else by the next look."""
    env = {"MAIMCONFIG_REDIS_URL": redis_url} if with_redis else {}
    with fleet(tmp_path, None, 2, None, **env) as ours:
        (chat,) = ours.sessions(1)
        here, there = (Client(f"{url}?token={token_of(chat)}") for url in ours.urls)
        with here, there:
            for one in (here, there):
                one.receive("auth")
                last = one.join(chat)["last_seq"]
            waits = []
            for number in range(5):
                begun = time.monotonic()
                here.say(chat, f"message {number}")
                assert there.until("message")["seq"] == last + 1 + number
                waits.append(time.monotonic() - begun)
        if with_redis:
            # The next look is up to 2 s away; five that came at the right moment are no chance.
            assert min(waits) < 1


def test_two_of_each(
    tmp_path: Path, redis_url: str, live_service: Callable[..., LiveService]
) -> None:
    """What two HTTP processes store, and what they have the AI answer, two gateways tell."""
    with fleet(tmp_path, None, 2, None, MAIMCONFIG_REDIS_URL=redis_url) as ours:
        web = [
            live_service(None, "--plane", "public", planes=["public"], env=ours.env)
            for _ in range(2)
        ]
        chat = talk(ours.runtime, agent(ours.runtime))
        token = token_of(chat)
        listening = [Client(f"{url}?token={token}") for url in ours.urls]
        with listening[0], listening[1]:
            for one in listening:
                one.receive("auth")
                one.join(chat)
            said = [f"message {number}" for number in range(4)]
            for number, content in enumerate(said):
                answer = httpx.post(
                    f"{web[number % 2].public}/api/v1/chat/send",
                    headers={"Authorization": f"Bearer {token}"},
                    json={"session_id": chat.chat.id, "message": content},
                    timeout=PATIENCE,
                )
                assert answer.status_code == 200, answer.text
            for one in listening:
                told = [one.until("message") for _ in range(8)]
                assert [message["seq"] for message in told] == list(range(1, 9))
                assert [m["content"] for m in told if m["sender_type"] == "contact"] == said
                assert sum(message["sender_type"] == "ai" for message in told) == 4


def test_stop(live_service: Callable[..., LiveService]) -> None:
    """SIGTERM closes with 1001 and SIGHUP, of a process that somebody will start again, with 1012;
    both end well, and the log has no complaint.
    """
    for number, code in ((signal.SIGTERM, 1001), (signal.SIGHUP, 1012)):
        service = live_service(None, "--plane", "realtime", planes=["realtime"])
        with Client(service.urls["realtime"]) as found:
            service.process.send_signal(number)
            assert found.closed() == code
        assert ended(service) == 0
        assert service.log == ""


def test_renewed_workers(live_service: Callable[..., LiveService]) -> None:
    """Workers that are renewed close with 1012, and others answer meanwhile; at the end 1001."""
    service = live_service(
        None, "--plane", "realtime", "--workers", "2", planes=["realtime"],
        env={"MAIMCONFIG_REALTIME_CONNECTIONS_PER_ADDRESS": "100"},
    )  # fmt: skip
    url = service.urls["realtime"]
    eventually(lambda: len(workers_of(service)) == 2)
    old = workers_of(service)
    clients = [Client(url) for _ in range(8)]
    service.process.send_signal(signal.SIGHUP)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(Client.closed, clients)) == [1012] * 8
    eventually(lambda: len(workers_of(service) - old) == 2 and not workers_of(service) & old)
    for one in clients:
        one.close()
    with Client(url) as found:
        service.process.send_signal(signal.SIGTERM)
        assert found.closed() == 1001
    assert ended(service) == 0


def test_all_planes_in_one(live_service: Callable[..., LiveService]) -> None:
    """By default the gateway is in the same process, and /info tells its address."""
    service = live_service(planes=["internal", "public", "realtime"])
    assert list(service.urls) == ["internal", "public", "realtime"]
    assert httpx.get(f"{service.public}/info").json()["realtime"] == service.urls["realtime"]
    with Client(service.urls["realtime"]) as found:
        found.send("ping")
        found.receive("pong")
    assert service.stop() == 0


def ended(service: LiveService) -> int:
    """The exit code of a service that was told to end."""
    service.process.communicate(timeout=60)
    code: int = service.process.returncode
    return code
