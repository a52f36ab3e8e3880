"""One load for all faults: a mixed crowd over sockets that keeps what it was told, and a report.

with Load(service, World.make(service)) as load:
    load.settle()
    ... break something ...
    load.broken()
    ... mend it ...
    load.mended()
load.report("the database was killed")
"""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.contract.harness import JSON, VALIDATE, Remote
from tests.faults.conftest import FULL
from tests.faults.report import publish
from tests.parallel import UntilLeft
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE, eventually

# s between two calls of a client. The tests share the machine with what they test, and with the
# other tests.
PAUSE = 0.01 if FULL else 0.04
LOST = "lost"
CHATS = ("chat", "stream")
KINDS = ("check", "read", "list", "create", "update", "chat")
WATCHING = ("live", "ready")


class Answer(NamedTuple):
    """What came of one call; times are of time.monotonic().

    Attributes:
        kind: of call, such as `check`.
        number: of the client, among those of this kind.
        status: of the answer; 0 when there was none.
        code: its error_code, or that of a stream's last event; `lost` when the request wasn't
            answered; else empty.
        sane: whether a refusal for now says when to come back.
    """

    kind: str
    number: int
    status: int
    code: str
    began: float
    took: float
    sane: bool

    @property
    def good(self) -> bool:
        """Whether the caller got what it asked for."""
        return self.status == 200 and not self.code

    @property
    def ended(self) -> float:
        """When it came."""
        return self.began + self.took


@dataclass(frozen=True)
class World:
    """What the crowd works on.

    Attributes:
        key: that is checked, as it was made.
        chat_key: that chats; each is a use of it too.
    """

    key: dict[str, Any]
    chat_key: dict[str, Any]

    @classmethod
    def make(cls, service: LiveService, **config_overrides: Any) -> World:
        """A tenant, an agent and a key that may chat.

        Args:
            config_overrides: of the agent that is chatted with.
        """
        with Remote(service.internal) as caller:
            found = cls(caller.key(), caller.key(permissions=["chat"]))
            agent = f"/api/v2/agents/{found.chat_key['agent_id']}"
            caller.data("PUT", agent, {"config": {"config_overrides": config_overrides}})
        return found


@dataclass
class Kept:
    """What was acknowledged.

    Attributes:
        tenants: ids of those that were created.
        chats: ids of the replies, whole or begun, by the name of the request.
        asked: bodies of the chats that had no answer, by the same.
        updates: the last description that was acknowledged, by agent, and those tried since.
    """

    tenants: list[str] = field(default_factory=list)
    chats: dict[str, str] = field(default_factory=dict)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    updates: dict[str, list[str]] = field(default_factory=dict)


class Client:
    """Makes one kind of call again and again, over one connection as long as it lasts.

    Attributes:
        kind, number: of what it makes, and which of those it is.
    """

    def __init__(self, load: Load, kind: str, number: int) -> None:
        self._load, self.kind, self.number = load, kind, number
        plane = "public" if kind in CHATS and load.has_public else "internal"
        parts = urlsplit(load.service.urls[plane])
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        self._turns = itertools.count(1)
        self._call: Callable[[], tuple[int, dict[str, Any], bool]] = getattr(self, f"_{kind}")

    def turn(self) -> Answer:
        """Make one call."""
        began = time.monotonic()
        try:
            status, body, sane = self._call()
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            status, body, sane = 0, {"error_code": LOST}, True
        code = str(body.get("error_code") or body.get("reason") or "")
        took = time.monotonic() - began
        return Answer(self.kind, self.number, status, code, began, took, sane)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    @property
    def sock(self) -> socket.socket | None:
        """Its end of the connection, when it has one."""
        return self._connection.sock

    def _ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any], bool]:
        given = None if body is None else json.dumps(body)
        self._connection.request(method, path, given, {**JSON, **(headers or {})})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        is_stream = answer.headers.get_content_type() == "text/event-stream"
        found = last_event(text) if is_stream else json.loads(text)
        sane = answer.status != 503 or "Retry-After" in answer.headers
        return answer.status, found, sane

    def _check(self) -> tuple[int, dict[str, Any], bool]:
        return self._ask("POST", VALIDATE, {"api_key": self._load.world.key["api_key"]})

    def _read(self) -> tuple[int, dict[str, Any], bool]:
        return self._ask("GET", f"/api/v2/agents/{self._load.world.key['agent_id']}")

    def _list(self) -> tuple[int, dict[str, Any], bool]:
        return self._ask("GET", "/api/v2/tenants?page_size=10")

    def _create(self) -> tuple[int, dict[str, Any], bool]:
        name = f"crowd {self._load.name} {self.number} {next(self._turns)}"
        found = self._ask(
            "POST", "/api/v2/tenants", {"tenant_name": name, "tenant_type": "personal"}
        )
        if found[0] == 200:
            self._load.kept.tenants.append(found[1]["data"]["id"])
        return found

    def _update(self) -> tuple[int, dict[str, Any], bool]:
        agent_id = self._load.own_agents[self.number]
        text = f"turn {next(self._turns)}"
        possible = self._load.kept.updates[agent_id]
        possible.append(text)
        found = self._ask("PUT", f"/api/v2/agents/{agent_id}", {"description": text})
        if found[0] == 200:
            possible[:] = [text]
        return found

    def _chat(self) -> tuple[int, dict[str, Any], bool]:
        return self._say(stream=False)

    def _stream(self) -> tuple[int, dict[str, Any], bool]:
        return self._say(stream=True)

    def _say(self, *, stream: bool) -> tuple[int, dict[str, Any], bool]:
        name = f"{self._load.name}-{self.kind}-{self.number}-{next(self._turns)}"
        body = {
            "api_key": self._load.world.chat_key["api_key"],
            "message": "你好",
            "user_id": f"{self.kind} {self.number}",
            "message_id": name,
            "stream": stream,
        }
        self._load.kept.asked[name] = body
        found = self._ask("POST", "/api/v2/chat", body, {"X-Request-ID": name})
        del self._load.kept.asked[name]
        if "data" in found[1] or found[1].get("pieces"):
            self._load.kept.chats[name] = found[1].get("data", found[1])["message_id"]
        return found

    def _live(self) -> tuple[int, dict[str, Any], bool]:
        return (*self._ask("GET", "/health/live")[:2], True)

    def _ready(self) -> tuple[int, dict[str, Any], bool]:
        return (*self._ask("GET", "/health/ready")[:2], True)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, by name; each has data that can be read.

    Raises:
        ValueError: it isn't so.
    """
    found = []
    for block in text.split("\n\n")[:-1]:
        if not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def last_event(text: str) -> dict[str, Any]:
    """How a stream ended, as an answer that is no stream tells it; of one that failed, how many
    pieces it had.

    Raises:
        ValueError: it has no end.
    """
    *before, (name, told) = events(text)
    if name not in ("message.end", "error"):
        raise ValueError(f"the last event is {name}")
    return {"data": told} if name == "message.end" else {**told, "pieces": len(before) - 1}


class Load(UntilLeft):
    """The crowd; it works while it is entered.

    Attributes:
        name: that no other load has.
        kept: what was acknowledged.
        answers: all, in the order in which they came.
        clients: that make the calls.
    """

    def __init__(
        self,
        service: LiveService,
        world: World,
        *,
        kinds: Iterable[str] = KINDS,
        each: int = 1,
        on_public: bool = True,
        watching: Iterable[str] = WATCHING,
    ) -> None:
        """Prepare it.

        Args:
            kinds: of calls.
            each: clients of each kind.
            on_public: whether chats go to the public plane.
            watching: what is asked besides of the health of the process, by one client each.
        """
        self.service, self.world, self.has_public = service, world, on_public
        self.name = secrets.token_hex(4)
        self.kept = Kept()
        self.answers: list[Answer] = []
        self.kinds = {*kinds, *watching}
        self.own_agents = self._agents(each if "update" in kinds else 0)
        self._marks: dict[str, float] = {}
        self._over = threading.Event()
        wanted = [kind for kind in kinds for _ in range(each)] + list(watching)
        numbers: Counter[str] = Counter()
        self.clients = []
        for kind in wanted:
            self.clients.append(Client(self, kind, numbers[kind]))
            numbers[kind] += 1
        self._threads = [
            threading.Thread(target=self._work, args=(client,)) for client in self.clients
        ]

    def _agents(self, number: int) -> dict[int, str]:
        with Remote(self.service.internal) as caller:
            found = {turn: caller.key()["agent_id"] for turn in range(number)}
        self.kept.updates.update({agent_id: [] for agent_id in found.values()})
        return found

    def _work(self, client: Client) -> None:
        while not self._over.is_set():
            answer = client.turn()
            self.answers.append(answer)
            self._over.wait(PAUSE if answer.good else 5 * PAUSE)
        client.close()

    def mark(self, name: str) -> float:
        """Remember this moment: `broken` and `mended` are used by the report."""
        return self._marks.setdefault(name, time.monotonic())

    def all_answer(self, within: float = PATIENCE) -> None:
        """Wait until a call of each kind that began from now on was answered well."""
        since = time.monotonic()

        def reached() -> bool:
            recent = self.answers[-3000:]
            return {a.kind for a in recent if a.began >= since and a.good} >= self.kinds

        eventually(reached, within=within)

    def fails(self, *kinds: str) -> None:
        """Wait until a call of one of these kinds that began from now on has failed."""
        since = time.monotonic()
        eventually(
            lambda: any(
                answer.kind in kinds and answer.began >= since and not answer.good
                for answer in self.answers[-3000:]
            )
        )

    def waits(self, seconds: float) -> None:
        """Let it go on for so long."""
        self._over.wait(seconds)

    def settle(self, turns: int = 3) -> None:
        """Wait until all kinds have been answered so often."""

        def enough() -> bool:
            good = Counter(answer.kind for answer in list(self.answers) if answer.good)
            return all(good[kind] >= turns for kind in self.kinds)

        eventually(enough)

    def counts(self) -> dict[str, Counter[str]]:
        """How many calls of each kind ended how."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for answer in self.answers:
            found[answer.kind][f"{answer.status or ''} {answer.code}".strip()] += 1
        return dict(found)

    def statuses(self, *kinds: str) -> set[int]:
        """The statuses of answers, of all kinds or some; 0 for none."""
        return {answer.status for answer in self.answers if not kinds or answer.kind in kinds}

    def codes(self, *kinds: str) -> set[str]:
        """The error codes of what failed."""
        return {a.code for a in self.answers if a.code and (not kinds or a.kind in kinds)}

    def longest(self, *kinds: str) -> float:
        """The longest wait for an answer, in seconds."""
        return max(a.took for a in self.answers if not kinds or a.kind in kinds)

    def checked(self) -> int:
        """How often the key was checked well."""
        return sum(answer.good for answer in self.answers if answer.kind == "check")

    def recovery(self) -> dict[str, float]:
        """Seconds from the mending to the end of the last failure, by kind."""
        since = self._marks["mended"]
        found = {}
        for kind in self.kinds:
            ends = [a.ended for a in self.answers if a.kind == kind and not a.good]
            found[kind] = max([0.0, *(end - since for end in ends)])
        return found

    def noticed(self, kind: str = "ready") -> float:
        """Seconds from the fault to the first answer of a kind that tells of it."""
        since = self._marks["broken"]
        ends = (a.ended for a in self.answers if a.kind == kind and not a.good)
        return min(end - since for end in ends if end >= since)

    def report(self, title: str) -> None:
        """Tell what callers saw."""
        lines = []
        recovery = self.recovery() if "mended" in self._marks else {}
        for kind, counted in sorted(self.counts().items()):
            seen = ", ".join(f"{number} x {what}" for what, number in sorted(counted.items()))
            back = f", failures ended {recovery[kind]:.1f} s after" if recovery.get(kind) else ""
            lines.append(f"{kind:>7}: {seen}; longest wait {self.longest(kind):.2f} s{back}")
        publish(title, lines)

    def refused_well(self, *codes: str) -> None:
        """Assert that all failures were told as they should: 503, a code, when to come back."""
        bad = [a for a in self.answers if a.kind not in WATCHING and not a.good]
        wrong = [a for a in bad if not a.sane or (a.status, a.code) not in
                 {(503, code) for code in codes or ("SYS_002",)}]  # fmt: skip
        assert not wrong, Counter((a.kind, a.status, a.code, a.sane) for a in wrong)
