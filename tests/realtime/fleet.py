"""Gateways in processes of their own, on one database and one Redis, that a test may kill."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from maimconfig.conversations.models import Conversation
from maimconfig.runtime import Runtime
from maimconfig.sessions import service as sessions
from maimconfig.settings import load_settings
from tests.factories.conversations import Talk, agent, talk
from tests.realtime.churn import Member
from tests.realtime.harness import token_of
from tests.servers.private import free_port
from tests.servers.redis import Redis
from tests.servers.service import LiveService

MASTER_SECRET = "Rk2-one-secret-for-all-gateways-5hTq8Zw1"


class Fleet:
    """Some gateways, and a runtime of this process on the same database.

    Attributes:
        env: of all processes.
        urls: of the gateways; they stay over restarts.
        runtime: to make sessions with, and to look at the database.
    """

    def __init__(
        self, folder: Path, database_url: str | None, gateways: int, redis: Redis | None, **env: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._redis = redis
        self.env = {
            "DATABASE_URL": database_url or f"sqlite:///{folder / 'maimconfig.db'}",
            "MAIMCONFIG_SECRET_KEY": MASTER_SECRET,
            "MAIMCONFIG_REALTIME_CONNECTIONS_PER_ADDRESS": "100000",
            "MAIMCONFIG_REALTIME_MESSAGES_PER_MINUTE": "100000",
            **({"MAIMCONFIG_REDIS_URL": redis.url} if redis else {}),
            **env,
        }
        settings = load_settings({**self.env, "MAIMCONFIG_INSTANCE": str(folder / "own")})
        self.runtime = Runtime.open(settings, auto_migrate=True)
        ports = [free_port() for _ in range(gateways)]
        self.urls = [f"ws://127.0.0.1:{port}/ws" for port in ports]
        self.services = [
            LiveService(
                folder / f"gateway{number}", None, "--plane", "realtime", planes=["realtime"],
                env={**self.env, "MAIMCONFIG_REALTIME_BIND": f"127.0.0.1:{port}"},
            )
            for number, port in enumerate(ports)
        ]  # fmt: skip

    def sessions(self, count: int) -> list[Talk]:
        """So many sessions with one agent, in which a person answers."""
        of = agent(self.runtime)
        return [talk(self.runtime, of, agent_type="human") for _ in range(count)]

    def members(self, count: int, *, together: int = 2) -> list[Member]:
        """So many clients, some to a session."""
        found: list[Member] = []
        for chat in self.sessions(-(-count // together)):
            token = token_of(chat)
            found += [
                Member(self.urls, f"m{len(found) + number}", chat.chat.id, token)
                for number in range(together)
            ]
        return found[:count]

    def last_seq(self, session_id: str) -> int:
        """The last seq of a session's conversation."""

        def read(session: Any) -> int:
            conversation: Conversation = sessions.get(session, session_id)[1]
            return conversation.next_seq - 1

        return self.runtime.read(read)

    def harms(self, rounds: int) -> list[Callable[[], None]]:
        """In each round a gateway is killed, Redis stopped, and a gateway told to stop; all are
        started again.
        """
        redis = [self._stop_redis] if self._redis else []
        return [self._kill, *redis, self._stop] * rounds

    def _kill(self) -> None:
        service = random.choice(self.services)
        service.kill()
        service.start()

    def _stop(self) -> None:
        random.choice(self.services).restart()

    def _stop_redis(self) -> None:
        assert self._redis is not None
        self._redis.stop()
        time.sleep(random.uniform(0.1, 1.0))
        self._redis.start()

    def close(self) -> None:
        """End all."""
        for service in self.services:
            service.close()
        self.runtime.close()


@contextlib.contextmanager
def fleet(*arguments: Any, **given: Any) -> Iterator[Fleet]:
    """A fleet that is ended at the end."""
    with contextlib.closing(Fleet(*arguments, **given)) as found:
        yield found
