"""One of several workers is killed (kill -9), again and again, under load."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.contract.harness import Checker, holder_of, stored_count, workers_of
from tests.faults.conftest import FULL
from tests.faults.load import CHATS, KINDS, LOST, Answer, Client, Load, World
from tests.faults.report import publish
from tests.faults.stored import billed_once, nothing_is_lost, pending
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import FaultyProvider
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually, lives

WORKERS = 4
EACH = 2  # clients of each kind
KILLS = 12 if FULL else 3
REPLACED = 10.0  # s until another answers in its place; the machine may be busy with other tests
UNWRITTEN = 1.0  # s, contract: "at most one second of counts at a kill -9"
BUSY = 2.0  # s more for a machine that is busy with other tests


@pytest.fixture
def service(
    live_service: Callable[..., LiveService], migrated_database_url: str
) -> Iterator[LiveService]:
    """Four workers, whose chats take so long that some are under way whenever one is killed."""
    with FaultyProvider() as provider:
        provider.default = faulty.slow(0.3)
        account = {
            "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": provider.base_url, "OPENAI_MODEL": "m",
        }  # fmt: skip
        yield live_service(migrated_database_url, "--workers", str(WORKERS), env=account)


@dataclass(frozen=True)
class Kill:
    """A worker was killed.

    Attributes:
        at: when, as time.monotonic() has it.
        clients: that were connected to it; but for streams, which connect anew each time.
        replaced: seconds until another answered in its place.
    """

    at: float
    clients: list[Client]
    replaced: float

    def may_uncount(self, answer: Answer) -> bool:
        """Whether this is a key check whose count may be lost with the worker."""
        checkers = {client.number for client in self.clients if client.kind == "check"}
        return (
            answer.kind == "check"
            and answer.number in checkers
            and self.at - UNWRITTEN - BUSY < answer.ended < self.at
        )


def kill_one(service: LiveService, load: Load) -> Kill:
    """Kill the worker that checks keys for somebody, and wait until another has its place."""
    lasting = [client for client in load.clients if client.kind != "stream"]
    eventually(lambda: all(client.sock for client in lasting))
    holders = {client: holder_of(client, service) for client in lasting}
    (victim, _), *_ = Counter(
        pid for client, pid in holders.items() if client.kind == "check" and pid
    ).most_common()
    before = workers_of(service)
    os.kill(victim, signal.SIGKILL)
    at = time.monotonic()
    eventually(lambda: not lives(victim))
    (newcomer,) = eventually(lambda: workers_of(service) - before)
    eventually(lambda: answers(newcomer, service))
    clients = [client for client, pid in holders.items() if pid == victim]
    return Kill(at, clients, time.monotonic() - at)


def answers(worker: int, service: LiveService) -> bool:
    """Whether it is this worker that answers a new connection."""
    checker = Checker(service.internal, "no key").connect()
    try:
        return checker.check() == 400 and holder_of(checker, service) == worker
    finally:
        checker.close()


def test_killed(service: LiveService, migrated_database_url: str) -> None:
    """Each connection of a worker that is killed breaks once, everybody else is answered, another
    worker takes its place within seconds, and nothing acknowledged is lost but the counts of its
    last second.
    """
    eventually(lambda: len(workers_of(service)) == WORKERS)
    kinds = (*KINDS, "stream")
    with Load(service, World.make(service), kinds=kinds, each=EACH) as load:
        load.settle()
        kills = []
        for _ in range(KILLS):
            kills.append(kill_one(service, load))
            load.all_answer()
    load.report(f"{KILLS} times one of {WORKERS} workers was killed")
    lost = [answer for answer in load.answers if not answer.good]
    assert {(answer.status, answer.code) for answer in lost} == {(0, LOST)}
    streams = sum(answer.kind == "stream" for answer in lost)
    assert len(lost) - streams == sum(len(kill.clients) for kill in kills)
    assert streams <= KILLS * EACH
    assert load.longest() < REPLACED
    assert max(kill.replaced for kill in kills) < REPLACED
    assert '"event":"unexpected"' not in service.log

    again = asked_again(service, load)
    assert again.keys() <= {200, 409}
    # What was under way in a worker is settled when its time is over: nobody knows it is dead.
    assert billed_once(load, migrated_database_url)
    assert pending(load, migrated_database_url) <= load.kept.asked.keys()
    assert service.stop() == 0  # so that the others have written what they counted
    uncounted = sum(any(kill.may_uncount(a) for kill in kills) for a in load.answers if a.good)
    nothing_is_lost(load, migrated_database_url, uncounted)
    counted = stored_count(migrated_database_url, load.world.key)
    assert counted <= load.checked() + sum(answer.kind == "check" for answer in lost)
    publish(
        "what was lost with the workers",
        [
            f"{len(lost)} requests of as many connections, {streams} of them streams",
            f"replaced within {', '.join(f'{kill.replaced:.1f}' for kill in kills)} s",
            f"{counted} of {load.checked()} key checks were counted; {uncounted} were at risk",
            f"chats without an answer, asked again by their message_id: {dict(again)}",
        ],
    )


def asked_again(service: LiveService, load: Load) -> Counter[int]:
    """What callers are told who send a chat again that broke with its worker."""
    assert len(load.kept.asked) == sum(a.kind in CHATS and not a.good for a in load.answers)
    with httpx.Client(base_url=service.public, timeout=PATIENCE) as client:
        return Counter(
            client.post("/api/v2/chat", json=body | {"stream": False}).status_code
            for body in load.kept.asked.values()
        )
