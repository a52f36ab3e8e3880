"""Retries, keys, fail-over, the breaker and the deadline."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from maimconfig.providers.service import Providers
from maimconfig.providers.types import Failure, Target
from tests.providers.asking import ask, target
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, FaultyProvider

FAULTS: dict[str, tuple[Behaviour, Failure]] = {
    "dead": (faulty.hangs_up(), Failure.BROKEN),
    "slow": (faulty.silent(), Failure.TIMEOUT),
    "limited": (faulty.status(429), Failure.RATE_LIMITED),
    "empty": (faulty.empty(), Failure.EMPTY),
}


@pytest.fixture
def three() -> Iterator[list[FaultyProvider]]:
    """Three providers."""
    with FaultyProvider() as a, FaultyProvider() as b, FaultyProvider() as c:
        yield [a, b, c]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("order", list(itertools.permutations(FAULTS, 2)))
def test_every_order(
    providers: Providers, three: list[FaultyProvider], order: tuple[str, str], stream: bool
) -> None:
    """Whatever the first two suffer from, the third answers, and the attempts tell of it."""
    for server, fault in zip(three, order, strict=False):
        server.default = FAULTS[fault][0]
    three[2].default = faulty.answer("from c")
    found = [
        target(server, name=name, endpoint_fields={"name": name, "timeout": 0.3})
        for server, name in zip(three, "abc", strict=True)
    ]
    end = providers.start(found, ask(stream)).wait()
    assert (end.text, end.failure, end.target) == ("from c", None, found[2])
    assert [(a.provider, a.failure) for a in end.attempts] == [
        ("a", FAULTS[order[0]][1]),
        ("b", FAULTS[order[1]][1]),
        ("c", None),
    ]


def test_all_fail(providers: Providers, provider: FaultyProvider, other: FaultyProvider) -> None:
    """When all fail it is a failure, and not the offline provider's turn."""
    provider.default, other.default = faulty.status(500), faulty.status(400)
    found = [target(provider), target(other, endpoint_fields={"name": "b"})]
    end = providers.start(found, ask()).wait()
    assert (end.failure, end.text, end.target) == (Failure.REFUSED, "", found[1])


class TestRetries:
    def retried(self, provider: FaultyProvider) -> Target:
        """A target that is asked thrice, without long pauses."""
        return target(provider, endpoint_fields={"max_retry": 2, "timeout": 0.3})

    @pytest.mark.parametrize("code", [429, 500, 502, 503])
    def test_passing(self, providers: Providers, provider: FaultyProvider, code: int) -> None:
        """What passes is tried again at the same provider."""
        provider.script(faulty.status(code), faulty.hangs_up())
        end = providers.start([self.retried(provider)], ask()).wait()
        assert end.failure is None
        assert len(end.attempts) == 3

    @pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
    def test_lasting(self, providers: Providers, provider: FaultyProvider, code: int) -> None:
        """What doesn't pass isn't tried again."""
        provider.default = faulty.status(code)
        end = providers.start([self.retried(provider)], ask()).wait()
        assert len(end.attempts) == len(provider.requests) == 1

    def test_at_most(self, providers: Providers, provider: FaultyProvider) -> None:
        """It is tried again max_retry times."""
        provider.default = faulty.status(500)
        end = providers.start([self.retried(provider)], ask()).wait()
        assert len(end.attempts) == 3

    def test_retry_after(self, providers: Providers, provider: FaultyProvider) -> None:
        """A retry waits as long as the provider asks."""
        provider.script(faulty.rate_limited("1"))
        end = providers.start([self.retried(provider)], ask()).wait()
        assert end.failure is None
        assert provider.requests[1].arrived - provider.requests[0].arrived >= 0.9

    def test_retry_after_too_long(self, providers: Providers, provider: FaultyProvider) -> None:
        """One that asks for more than retry_interval isn't asked again."""
        provider.script(faulty.rate_limited("60"))
        end = providers.start([self.retried(provider)], ask()).wait()
        assert (len(end.attempts), end.retry_after) == (1, 60)

    def test_retry_after_deadline(self, providers: Providers, provider: FaultyProvider) -> None:
        """Nor one that asks for more than the deadline leaves."""
        provider.script(faulty.rate_limited("1"))
        end = providers.start([self.retried(provider)], ask(timeout=0.5)).wait()
        assert (len(end.attempts), end.failure) == (1, Failure.RATE_LIMITED)

    def test_leaves_time(
        self, providers: Providers, provider: FaultyProvider, other: FaultyProvider
    ) -> None:
        """One that hangs isn't asked again until the deadline when there is a next to ask."""
        provider.default = faulty.silent()
        found = [
            target(provider, endpoint_fields={"max_retry": 2, "timeout": 0.5}),
            target(other, endpoint_fields={"name": "b"}),
        ]
        end = providers.start(found, ask(timeout=1.5)).wait()
        assert (end.target, end.failure) == (found[1], None)


class TestKeys:
    @pytest.mark.parametrize("code", [401, 403, 429])
    def test_next_key(self, providers: Providers, provider: FaultyProvider, code: int) -> None:
        """A key that is refused or limited gives way to the next, and isn't the first again."""
        provider.by_key["sk-1"] = faulty.status(code)
        found = target(provider, endpoint_fields={"api_keys": ("sk-1", "sk-2")})
        for _ in range(2):
            assert providers.start([found], ask()).wait().failure is None
        assert provider.asked() == ["sk-1", "sk-2", "sk-2"]

    def test_all_refused(
        self, providers: Providers, provider: FaultyProvider, other: FaultyProvider
    ) -> None:
        """When all keys are refused the next target is asked."""
        provider.default = faulty.status(401)
        found = [target(provider, endpoint_fields={"api_keys": ("sk-1", "sk-2")})]
        found.append(target(other, endpoint_fields={"name": "b"}))
        end = providers.start(found, ask()).wait()
        assert end.target == found[1]
        assert provider.asked() == ["sk-1", "sk-2"]

    def test_scopes(self, providers: Providers, provider: FaultyProvider) -> None:
        """What one scope learns of a provider's keys and state, another doesn't."""
        provider.by_key["sk-1"] = faulty.status(401)
        for scope in ("system", "tenant_b"):
            fields = {"api_keys": ("sk-1", "sk-2"), "scope": scope}
            providers.start([target(provider, endpoint_fields=fields)], ask()).wait()
        assert provider.asked() == ["sk-1", "sk-2"] * 2
        assert [row["scope"] for row in providers.endpoints()] == ["system", "tenant_b"]


class TestBreaker:
    @pytest.fixture
    def providers(self) -> Iterator[Providers]:
        """Providers that probe soon."""
        found = Providers((), rest_seconds=0.5)
        yield found
        found.close()

    def test_left_out_and_back(
        self, providers: Providers, provider: FaultyProvider, other: FaultyProvider
    ) -> None:
        """A provider that keeps failing is left out, probed by one request, and comes back."""
        provider.default = faulty.status(500)
        found = [target(provider), target(other, endpoint_fields={"name": "b"})]
        for _ in range(7):
            assert providers.start(found, ask()).wait().target == found[1]
        assert len(provider.requests) == 5
        state = providers.endpoints()[0]
        assert (state["state"], state["recent_failures"]) == ("open", 5)
        assert state["open_until"].endswith("Z")

        time.sleep(0.6)
        provider.default = faulty.slow(0.3)
        assert providers.endpoints()[0]["state"] == "half_open"
        replies = [providers.start(found, ask()) for _ in range(5)]
        assert [reply.wait().target for reply in replies].count(found[0]) == 1
        assert len(provider.requests) == 6
        assert providers.endpoints()[0]["state"] == "closed"
        assert providers.start(found, ask()).wait().target == found[0]

    @pytest.mark.parametrize("code", [400, 401, 403, 404])
    def test_not_down(self, providers: Providers, provider: FaultyProvider, code: int) -> None:
        """A provider that refuses isn't down."""
        provider.default = faulty.status(code)
        ends = [providers.start([target(provider)], ask()).wait() for _ in range(8)]
        assert Failure.OPEN not in {end.failure for end in ends}

    def test_one_limit(self, providers: Providers, provider: FaultyProvider) -> None:
        """A single 429 doesn't open it."""
        provider.script(faulty.status(429))
        assert providers.start([target(provider)], ask()).wait().failure is Failure.RATE_LIMITED
        assert providers.start([target(provider)], ask()).wait().failure is None

    def test_nobody_left(self, providers: Providers, provider: FaultyProvider) -> None:
        """When all are left out, that is the failure."""
        provider.default = faulty.status(500)
        ends = [providers.start([target(provider)], ask()).wait() for _ in range(6)]
        assert ends[-1].failure is Failure.OPEN
        assert [a.failure for a in ends[-1].attempts] == [Failure.OPEN]


class TestDeadline:
    def test_whole(
        self, providers: Providers, provider: FaultyProvider, other: FaultyProvider
    ) -> None:
        """The deadline is for all targets together."""
        provider.default = other.default = faulty.silent()
        found = [target(provider, endpoint_fields={"timeout": 0.3})]
        found.append(target(other, endpoint_fields={"name": "b", "timeout": 60}))
        end = providers.start(found, ask(timeout=0.8)).wait()
        assert (end.failure, end.aborted) == (Failure.DEADLINE, False)
        assert [a.failure for a in end.attempts] == [Failure.TIMEOUT, Failure.DEADLINE]
        assert 700 <= end.milliseconds < 5000
        other.requests[0].wait_closed(2)

    def test_stream(self, providers: Providers, provider: FaultyProvider) -> None:
        """A stream that it ends keeps its text."""
        provider.default = faulty.trickle(100, 0.05)
        end = providers.start([target(provider)], ask(stream=True, timeout=0.5)).wait()
        assert end.failure is Failure.DEADLINE
        assert end.text.startswith("word ")
        assert end.estimated
