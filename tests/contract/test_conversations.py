"""Conversations over sockets: what a process owed that died, and what one finishes that stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.contract.harness import Remote
from tests.conversations.conftest import until
from tests.servers.faulty_provider import FaultyProvider, answer, trickle
from tests.servers.service import LiveService

CHAT = "/api/v1/chat"


@pytest.fixture
def provider() -> Iterator[FaultyProvider]:
    """The one provider there is."""
    with FaultyProvider() as running:
        yield running


@pytest.fixture
def service(
    live_service: Callable[..., LiveService], database_url: str, provider: FaultyProvider
) -> LiveService:
    """A service whose agents ask the provider."""
    account = {
        "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": provider.base_url, "OPENAI_MODEL": "m",
    }  # fmt: skip
    return live_service(database_url, "--auto-migrate", env=account)


class Visitors:
    """Contacts of one agent, each with a session of its own."""

    def __init__(self, service: LiveService, number: int) -> None:
        with Remote(service.internal) as caller:
            key = caller.key(permissions=["chat"])
            # So that those are waited for that never end, however slow this machine is.
            patient = {"config": {"config_overrides": {"chat": {"response_timeout": 600}}}}
            caller.data("PUT", f"/api/v2/agents/{key['agent_id']}", patient)
        self._service = service
        self._headers = {"Authorization": f"Bearer {key['api_key']}"}
        bodies = [{"user_id": f"visitor-{n}"} for n in range(number)]
        begun = self._calls("POST", [f"{CHAT}/sessions"] * number, bodies)
        self._sessions = [one["session_id"] for one in begun]

    def say(self, content: str) -> None:
        """Each says it in its own session."""
        bodies = [{"session_id": one, "content": content} for one in self._sessions]
        self._calls("POST", [f"{CHAT}/messages"] * len(bodies), bodies)

    def replies(self) -> list[list[str]]:
        """What the AI said to each."""
        paths = [f"{CHAT}/sessions/{one}/messages" for one in self._sessions]
        return [
            [one["content"] for one in found["messages"] if one["sender_type"] == "ai"]
            for found in self._calls("GET", paths, [None] * len(paths))
        ]

    def _calls(self, method: str, paths: list[str], bodies: list[Any]) -> list[Any]:
        with Remote(self._service.public) as caller:
            answers = [
                caller.client.request(method, path, json=body, headers=self._headers)
                for path, body in zip(paths, bodies, strict=True)
            ]
        assert [answer.status_code for answer in answers] == [200] * len(paths)
        return [answer.json() for answer in answers]


def unleased(database_url: str) -> int:
    """How many replies are owed that no process has."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            query = text("SELECT COUNT(*) FROM owed_replies WHERE lease_owner IS NULL")
            return connection.scalar(query)
    finally:
        engine.dispose()


def test_killed_while_it_owes_fifty(service: LiveService, provider: FaultyProvider) -> None:
    """After a kill -9 while 50 replies are owed, the next process gives each of them, once."""
    provider.default = trickle(100_000, 0.5)  # they never end
    visitors = Visitors(service, 50)
    visitors.say("在吗")
    until(lambda: len(provider.requests) >= 16, 120)
    service.kill()
    assert len(provider.requests) == 16
    provider.default = answer("在的")
    service.start()
    until(lambda: all(visitors.replies()), 120)
    assert visitors.replies() == [["在的"]] * 50
    # The 16 that were under way were asked for again, and nothing was asked for a third time.
    assert len(provider.requests) == 66


def test_stopped_while_it_answers(service: LiveService, provider: FaultyProvider) -> None:
    """A reply that is under way when the service is told to stop is finished within the drain."""
    provider.default = trickle(5, 0.3)
    visitors = Visitors(service, 1)
    visitors.say("在吗")
    until(lambda: len(provider.requests) == 1)
    assert service.stop() == 0
    service.start()
    assert visitors.replies() == [["word " * 5]]
    assert len(provider.requests) == 1


def test_stopped_while_it_cannot(
    live_service: Callable[..., LiveService], database_url: str, provider: FaultyProvider
) -> None:
    """What isn't made within the drain is left to the next process, which makes it at once."""
    env = {
        "OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": provider.base_url, "OPENAI_MODEL": "m",
        "MAIMCONFIG_DRAIN_SECONDS": "1",
    }  # fmt: skip
    provider.default = trickle(100_000, 0.5)  # they never end
    service = live_service(database_url, "--auto-migrate", env=env)
    visitors = Visitors(service, 3)
    visitors.say("在吗")
    until(lambda: len(provider.requests) == 3)
    assert service.stop() == 0
    assert unleased(database_url) == 3
    provider.default = answer("在的")
    service.start()
    until(lambda: all(visitors.replies()))
    assert visitors.replies() == [["在的"]] * 3
