"""Callers who write through several machines at once, and remember what was acknowledged."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.contract.harness import VALIDATE, Remote
from tests.parallel import UntilLeft
from tests.serving.harness import PATIENCE

CHAT = "/api/v1/chat"
HOT_LIMIT = 1_000_000

Call = Callable[[], tuple[str, Any, dict[str, str]]]


class Scene:
    """What the callers write to: one tenant, one key with a rate limit, one conversation.

    All of it is made through one machine, and used through all.
    """

    def __init__(self, internal: str, public: str) -> None:
        with Remote(internal) as caller:
            limit = {"limit": HOT_LIMIT, "window_seconds": 86_400}
            self.key: dict[str, Any] = caller.key(permissions=["chat"], rate_limit=limit)
        self.tenant_id: str = self.key["tenant_id"]
        self.headers = {"Authorization": f"Bearer {self.key['api_key']}"}
        body = {"user_id": "visitor", "agent_type": "human"}
        answer = httpx.post(
            f"{public}{CHAT}/sessions", json=body, headers=self.headers, timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        self.session_id: str = answer.json()["session_id"]
        self.conversation_id: str = answer.json()["conversation_id"]


class Load(UntilLeft):
    """Threads that each make an agent, say something and check the key, again and again.

    Attributes:
        agents: ids of the agents that were acknowledged.
        said: of each message that was acknowledged its number in the conversation.
        checks: how many key checks were answered with yes.
        answers: how often a place answered a kind of call with which status and code.
        lost: what became of calls that weren't answered, by error.
        faults: answers that nobody should get.
        slowest: seconds that an answer took.
    """

    def __init__(
        self, scene: Scene, places: Sequence[tuple[str | None, str]], clients: int, **options: Any
    ) -> None:
        """
        Args:
            places: internal and public base URL of each; None where no control plane is reached.
            clients: threads that call each place.
            options: of the HTTP client.
        """
        self.scene = scene
        self.agents: list[str] = []
        self.said: dict[str, int] = {}
        self.checks = 0
        self.answers: Counter[tuple[int, int, str]] = Counter()
        self.lost: Counter[tuple[int, str]] = Counter()
        self.faults: list[str] = []
        self.slowest = 0.0
        self._options = options
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(number, *place))
            for number, place in enumerate(places)
            for _ in range(clients)
        ]

    @property
    def uses(self) -> int:
        """How often the key was used, as far as was acknowledged; its session was begun with it."""
        return 1 + self.checks + len(self.said)

    def successes(self, place: int) -> int:
        """How many calls a place has answered well."""
        with self._lock:
            return sum(
                times
                for (where, status, _), times in self.answers.items()
                if (where, status) == (place, 200)
            )

    def told(self) -> str:
        """What callers saw, in a line."""
        seen = {f"{place}: {status} {code}".strip(): times
                for (place, status, code), times in sorted(self.answers.items())}  # fmt: skip
        return (
            f"answers {seen}, unanswered {dict(self.lost)}, slowest {self.slowest:.1f} s; "
            f"acknowledged: {len(self.agents)} agents, {len(self.said)} messages, "
            f"{self.checks} key checks"
        )

    def _client(self, place: int, internal: str | None, public: str) -> None:
        with httpx.Client(timeout=PATIENCE, **self._options) as client:
            calls = [lambda: self._say(client, public)]
            if internal is not None:
                calls += [
                    lambda: self._hire(client, internal),
                    lambda: self._check(client, internal),
                ]
            for call in itertools.cycle(calls):
                if self._over.is_set():
                    return
                begun = time.monotonic()
                try:
                    answer, note = call()
                except httpx.TransportError as error:
                    with self._lock:
                        self.lost[place, type(error).__name__] += 1
                    self._over.wait(0.05)
                    continue
                with self._lock:
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                    self._note(place, answer, note)
                if answer.status_code != 200:
                    self._over.wait(0.05)

    def _hire(self, client: httpx.Client, internal: str) -> tuple[httpx.Response, Any]:
        body = {"tenant_id": self.scene.tenant_id, "name": f"agent {next(self._numbers)}"}
        answer = client.post(f"{internal}/api/v2/agents", json=body)
        return answer, lambda told: self.agents.append(told["data"]["id"])

    def _say(self, client: httpx.Client, public: str) -> tuple[httpx.Response, Any]:
        content = f"message {next(self._numbers)}"
        body = {"session_id": self.scene.session_id, "content": content}
        answer = client.post(f"{public}{CHAT}/messages", json=body, headers=self.scene.headers)

        def note(told: dict[str, Any]) -> None:
            self.said[content] = told["seq"]

        return answer, note

    def _check(self, client: httpx.Client, internal: str) -> tuple[httpx.Response, Any]:
        answer = client.post(f"{internal}{VALIDATE}", json={"api_key": self.scene.key["api_key"]})

        def note(_: dict[str, Any]) -> None:
            self.checks += 1

        return answer, note

    def _note(self, place: int, answer: httpx.Response, note: Callable[[Any], None]) -> None:
        told = answer.json()
        code = "" if answer.status_code == 200 else told.get("error_code", "without a code")
        self.answers[place, answer.status_code, code] += 1
        if answer.status_code == 200:
            note(told)
        elif (answer.status_code, code) != (503, "SYS_002") or "Retry-After" not in answer.headers:
            self.faults.append(f"{answer.status_code} {answer.text[:500]}")
