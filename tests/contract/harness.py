"""What the contract tests share: callers over sockets, and looks at the service's processes."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from sqlalchemy import create_engine, text

from tests.parallel import UntilLeft
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, lives

VALIDATE = "/api/v2/auth/validate-api-key"
JSON = {"Content-Type": "application/json"}
# Two processes on one database must have one; any text that is no document's example will do.
MASTER_SECRET = "ChhqW6ZO3-one-secret-for-all-processes-8f2Yt"

_ESTABLISHED = "01"  # in /proc/net/tcp
_numbers = itertools.count(1)


class Remote:
    """A caller of one plane over sockets."""

    def __init__(self, base_url: str) -> None:
        self.client = httpx.Client(base_url=base_url, timeout=PATIENCE)

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def data(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """What the envelope of a success holds."""
        answer = self.client.request(method, path, json=body, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and error code of a call that fails."""
        answer = self.client.request(method, path, json=body)
        return answer.status_code, answer.json()["error_code"]

    def tenant(self, **given: Any) -> dict[str, Any]:
        """A tenant with a name of its own."""
        body = {"tenant_name": f"tenant {next(_numbers)}", "tenant_type": "personal", **given}
        return self.data("POST", "/api/v2/tenants", body)

    def key(self, **given: Any) -> dict[str, Any]:
        """A key of a tenant and an agent of its own."""
        tenant_id = self.tenant()["id"]
        agent = self.data("POST", "/api/v2/agents", {"tenant_id": tenant_id, "name": "agent"})
        body = {"tenant_id": tenant_id, "agent_id": agent["id"], "name": "key", **given}
        return self.data("POST", "/api/v2/api-keys", body)

    def usage_count(self, key: dict[str, Any]) -> int:
        """How often a key was used, as everybody sees it now."""
        return self.data("GET", f"/api/v2/api-keys/{key['id']}")["usage_count"]


def stored_count(database_url: str, key: dict[str, Any]) -> int:
    """How often a key was used, as the database has it; for when no service runs."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            query = text("SELECT usage_count FROM api_keys WHERE id = :id")
            return connection.scalar(query, {"id": key["id"]})
    finally:
        engine.dispose()


class Checker:
    """Validates one key over a connection of its own.

    Attributes:
        status: of the last answer.
        last: whether that answer said that it was the connection's last.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        parts = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        self._api_key = api_key
        self.status = 0
        self.last = False

    def connect(self) -> Checker:
        """Open the connection."""
        self._connection.connect()
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def sock(self) -> socket.socket:
        """The client's end of the connection."""
        return self._connection.sock

    def check(self) -> int:
        """Validate the key; the status of the answer.

        Raises:
            OSError, http.client.HTTPException: there was no answer.
        """
        self.ask({})
        return self.status

    def ask(self, further: dict[str, Any]) -> dict[str, Any]:
        """Validate the key with further fields; the body of the answer."""
        body = json.dumps({"api_key": self._api_key, **further})
        self._connection.request("POST", VALIDATE, body, JSON)
        answer = self._connection.getresponse()
        found: dict[str, Any] = json.load(answer)
        self.status = answer.status
        self.last = answer.headers.get("Connection", "").lower() == "close"
        return found


class Crowd(UntilLeft):
    """Clients that validate a key again and again, and make a new connection when they must.

    Attributes:
        statuses: how many answers had which status.
        answered_at: time.monotonic() of each answer, in order.
        lost: what became of requests that were sent and not answered.
        open: the connections that there are now.
    """

    def __init__(self, base_url: str, api_key: str, clients: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.answered_at: list[float] = []
        self.lost: list[str] = []
        self.open: list[Checker] = []
        self._make = lambda: Checker(base_url, api_key)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]

    @property
    def answered(self) -> int:
        """How many answers there were."""
        return len(self.answered_at)

    def _client(self) -> None:
        while not self._over.is_set():
            checker = self._make()
            try:
                checker.connect()
            except OSError:
                return  # nobody listens any more
            self.open.append(checker)
            try:
                self._converse(checker)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            finally:
                self.open.remove(checker)
                checker.close()

    def _converse(self, checker: Checker) -> None:
        while not (checker.last or self._over.is_set()):
            status = checker.check()
            with self._lock:
                self.statuses[status] += 1
                self.answered_at.append(time.monotonic())


def in_threads(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make calls at the same time, each in a thread of its own.

    Returns:
        what they returned.

    Raises:
        BaseException: what the first of those that failed raised.
    """
    start = threading.Barrier(len(calls))
    found: list[Any] = [None] * len(calls)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(PATIENCE)
            found[number] = calls[number]()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return found


def workers_of(service: LiveService) -> set[int]:
    """The worker processes of a service with several."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {child for child in map(int, children) if lives(child)}


class Connected(Protocol):
    """Has a connection."""

    @property
    def sock(self) -> socket.socket:
        """The client's end of it."""


def holder_of(client: Connected, service: LiveService) -> int | None:
    """Which worker has accepted a connection; None when it still waits to be accepted."""
    wanted = f"socket:[{inode_of_peer(client.sock)}]"
    for pid in workers_of(service):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if link.readlink().name == wanted:
                    return pid
    return None


def inode_of_peer(own_end: socket.socket) -> str | None:
    """The socket at the other end of a loopback connection; None when that was closed (proc(5),
    /proc/net/tcp).
    """
    ends = [port for _, port in (own_end.getpeername(), own_end.getsockname())]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_, inode = line.split()[:10]
        found = [int(address.rpartition(":")[2], 16) for address in (local, remote)]
        if found == ends and state == _ESTABLISHED:
            return inode
    return None
