"""Real processes that serve toys, and clients that count what they lose."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATIENCE = 60.0  # s; the machine may be busy with other tests


def eventually(is_so: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + within
    while not (found := is_so()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def state(pid: int) -> str:
    """A process's state as one letter (proc(5)); empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped yet doesn't."""
    return state(pid) not in ("", "Z")


def heed_signals() -> None:
    """Undo what a background job or nohup made the tests themselves ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Toy:
    """A running toy service."""

    def __init__(self, notes: Path, script: str = "toy.py", **options: Any) -> None:
        self.notes_file = notes
        notes.touch()
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), json.dumps({"notes": str(notes), **options})],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=heed_signals,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addresses: dict[str, str] = {}
        self.output = ""
        self.errors = ""

    def announced(self) -> Toy:
        """Wait for its addresses."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.ended()
        assert line, self.errors
        self.addresses = json.loads(line)
        return self

    def connect(self, plane: str = "internal") -> http.client.HTTPConnection:
        """A connection to a plane, not opened yet."""
        host, _, port = self.addresses[plane].rpartition(":")
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)

    def get(self, path: str = "/", plane: str = "internal") -> Any:
        """The answer to one request on a connection of its own."""
        connection = self.connect(plane)
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def pids(self) -> set[int]:
        """Which processes answer, asked often enough to meet all of two."""
        return {self.get()["pid"] for _ in range(40)}

    def workers(self) -> set[int]:
        """The processes that the service has started and that still run."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {pid for pid in map(int, children.read_text().split()) if lives(pid)}

    def notes(self, what: str) -> list[list[str]]:
        """What its processes wrote down, by first word."""
        lines = [line.split() for line in self.notes_file.read_text().splitlines()]
        return [line for line in lines if line[0] == what]

    def closed(self) -> int:
        """How many requests its processes say they answered, in the end."""
        return sum(int(line[1]) for line in self.notes("close"))

    def signal(self, number: signal.Signals) -> None:
        """Send its first process a signal."""
        self.process.send_signal(number)

    def ended(self, within: float = PATIENCE) -> int:
        """Wait for its end, and return the exit code."""
        self.output, self.errors = self.process.communicate(timeout=within)
        return self.process.returncode

    def terminate(self) -> int:
        """Ask it to end, wait, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it and its workers in any case."""
        if self.process.poll() is None:
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
        if not self.process.stdout.closed:  # type: ignore[union-attr]
            self.ended()


class Crowd:
    """Clients that ask again and again, over one connection each until told to close it.

    Attributes:
        answered: how many requests were answered.
        refused: how many connections could not be made.
        lost: requests that were sent and not answered, by error.
        pids: how many answers each process gave.
    """

    def __init__(self, toy: Toy, clients: int = 16, *, keep_alive: bool = True) -> None:
        self.toy = toy
        self.keep_alive = keep_alive
        self.answered = 0
        self.refused = 0
        self.lost: Counter[str] = Counter()
        self.pids: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    def join(self) -> None:
        """Wait until all clients have stopped."""
        for thread in self._threads:
            thread.join()

    def warm_up(self, requests: int = 200) -> None:
        """Wait until it has had so many more answers."""
        goal = self.answered + requests
        eventually(lambda: self.answered >= goal)

    def _client(self, number: int) -> None:
        plane = ("internal", "public")[number % 2]
        while not self._over.is_set():
            connection = self.toy.connect(plane)
            try:
                connection.connect()
            except OSError:
                self.refused += 1
                return
            try:
                self._converse(connection)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.lost[repr(error)] += 1
                return
            finally:
                connection.close()

    def _converse(self, connection: http.client.HTTPConnection) -> None:
        last = False
        while not (last or self._over.is_set()):
            headers = {} if self.keep_alive else {"Connection": "close"}
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            found = json.load(response)
            last = response.headers.get("Connection", "").lower() == "close"
            with self._lock:
                self.answered += 1
                self.pids[found["pid"]] += 1
