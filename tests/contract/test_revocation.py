"""What is taken back is refused from the next request on, by every process."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.contract.harness import Checker, Remote, holder_of, in_threads, workers_of
from tests.servers.service import LiveService
from tests.serving.harness import eventually

CONNECTIONS = 16
REQUESTS = 1000
MOST_CONNECTIONS = 200

REVOCATIONS = {
    "disable": ("POST", "/api/v2/api-keys/{id}/disable", None, {401}),
    "rotate": ("POST", "/api/v2/api-keys/{id}/rotate", None, {401}),
    "delete": ("DELETE", "/api/v2/api-keys/{id}", None, {401}),
    "suspend": ("PUT", "/api/v2/tenants/{tenant_id}", {"status": "suspended"}, {403}),
    "archive": ("PUT", "/api/v2/agents/{agent_id}", {"status": "archived"}, {403}),
    "delete all": ("DELETE", "/api/v2/tenants/{tenant_id}", None, {401}),
}


@pytest.fixture(scope="module")
def service(shared_service: Callable[..., LiveService], migrated_database_url: str) -> LiveService:
    """A service of two workers."""
    return shared_service(migrated_database_url, "--workers", "2")


@contextlib.contextmanager
def checkers_of_both(service: LiveService, api_key: str) -> Iterator[list[Checker]]:
    """Open connections on which the key was found good, and of which each worker holds some."""
    with contextlib.ExitStack() as ends:
        by_worker: Counter[int | None] = Counter()
        checkers: list[Checker] = []
        while len(checkers) < CONNECTIONS or len(by_worker) < 2:
            assert len(checkers) < MOST_CONNECTIONS, f"one worker takes all: {by_worker}"
            checker = Checker(service.internal, api_key).connect()
            ends.callback(checker.close)
            assert checker.check() == 200
            by_worker[holder_of(checker, service)] += 1
            checkers.append(checker)
        assert None not in by_worker
        yield checkers


def ask(checker: Checker, times: int) -> Counter[int]:
    """Check so often; how many answers had which status."""
    return Counter(checker.check() for _ in range(times))


@pytest.mark.parametrize("what", REVOCATIONS)
def test_refused_by_both_workers(service: LiveService, what: str) -> None:
    """Of 1000 requests to two workers after the answer to a revocation none is accepted."""
    method, path, body, refusals = REVOCATIONS[what]
    eventually(lambda: len(workers_of(service)) == 2)
    with Remote(service.internal) as caller:
        key = caller.key()
        with checkers_of_both(service, key["api_key"]) as checkers:
            caller.data(method, path.format(**key), body)
            times = -(-REQUESTS // len(checkers))
            calls = [lambda checker=checker: ask(checker, times) for checker in checkers]
            statuses = sum(in_threads(calls), Counter())
    assert statuses.total() >= REQUESTS
    assert statuses.keys() == refusals


def test_changed_permission(service: LiveService) -> None:
    """A permission that is taken away is gone in both workers with the next request."""
    with Remote(service.internal) as caller:
        key = caller.key(permissions=["chat"])
        with checkers_of_both(service, key["api_key"]) as checkers:
            path = f"/api/v2/api-keys/{key['id']}"
            for permissions in ([], ["chat"], []):
                caller.data("PUT", path, {"permissions": permissions})
                found = in_threads([lambda c=checker: permission_of(c) for checker in checkers])
                assert found == [bool(permissions)] * len(checkers)


def permission_of(checker: Checker) -> bool:
    """Whether the key may chat, says the worker at the other end."""
    return checker.ask({"required_permission": "chat"})["data"]["has_permission"]
