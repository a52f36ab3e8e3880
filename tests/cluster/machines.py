"""Machines: processes that share nothing but the database, Redis and the master secret."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.contract.harness import MASTER_SECRET, workers_of
from tests.servers.private import free_port
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE


class Machine:
    """HTTP workers and, when wanted, a gateway, with an instance folder of their own.

    Attributes:
        web: the internal and the public plane.
        gateway: the realtime plane, or None.
    """

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *,
        workers: int = 1,
        gateway: bool = False,
        **env: str,
    ) -> None:
        """Start, and migrate the database unless somebody else has."""
        folder.mkdir()
        self._ports = {plane: free_port() for plane in ("internal", "public", "realtime")}
        settings = {
            "DATABASE_URL": database_url,
            "MAIMCONFIG_SECRET_KEY": MASTER_SECRET,
            # One visitor says all that is said.
            "MAIMCONFIG_REALTIME_MESSAGES_PER_MINUTE": "1000000",
            **env,
        }

        def start(*arguments: str, planes: tuple[str, ...]) -> LiveService:
            # Its address stays over a restart, as nginx has to know it.
            binds = {
                f"MAIMCONFIG_{plane.upper()}_BIND": f"127.0.0.1:{self._ports[plane]}"
                for plane in planes
            }
            return LiveService(
                folder, None, "--auto-migrate", *arguments, planes=planes, env={**settings, **binds}
            )

        self.web = start("--workers", str(workers), planes=("internal", "public"))
        self.gateway: LiveService | None = None
        if gateway:
            self.gateway = start("--plane", "realtime", planes=("realtime",))

    @property
    def public(self) -> str:
        """host:port of the public plane."""
        return f"127.0.0.1:{self._ports['public']}"

    @property
    def realtime(self) -> str:
        """host:port of the gateway."""
        return f"127.0.0.1:{self._ports['realtime']}"

    def is_ready(self) -> bool:
        """Whether it says that it may be given requests."""
        answer = httpx.get(f"{self.web.internal}/health/ready", timeout=PATIENCE)
        assert answer.status_code in (200, 503)
        return answer.status_code == 200

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        workers = workers_of(self.web)
        for service in self._services():
            service.process.kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for service in self._services():
            service.kill()

    def start(self) -> None:
        """Start it again."""
        for service in self._services():
            service.start()

    def close(self) -> None:
        """End it in good order."""
        for service in self._services():
            service.close()

    def _services(self) -> list[LiveService]:
        return [self.web, *([self.gateway] if self.gateway else [])]


@contextlib.contextmanager
def machines(makers: list[Callable[[], Machine]]) -> Iterator[list[Machine]]:
    """Machines that are started at the same moment, on a database that none has migrated yet."""
    with contextlib.ExitStack() as ends, ThreadPoolExecutor(len(makers)) as pool:
        started: list[Any] = [pool.submit(make) for make in makers]
        for one in started:
            if one.exception() is None:
                ends.callback(one.result().close)
        yield [one.result() for one in started]
