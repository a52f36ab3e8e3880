"""The circuit breaker, by itself."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maimconfig.providers.breaker import (
    FAILURES,
    REST_SECONDS,
    WINDOW_SECONDS,
    Breaker,
    Permit,
    State,
)


def fail(breaker: Breaker, times: int, now: float = 0) -> None:
    """Let requests through and fail them."""
    for _ in range(times):
        permit = breaker.admit(now)
        assert permit is not None
        breaker.record(permit, True, now)


class TestOpening:
    def test_one_failure(self) -> None:
        """A single failure never opens it."""
        breaker = Breaker()
        fail(breaker, 1)
        assert breaker.state(0) is State.CLOSED

    def test_several(self) -> None:
        """Five failures in a minute open it, and it says until when."""
        breaker = Breaker()
        fail(breaker, FAILURES)
        assert breaker.state(0) is State.OPEN
        assert breaker.open_seconds(10) == REST_SECONDS - 10
        assert breaker.admit(1) is None

    def test_spread_out(self) -> None:
        """Failures that are older than the window don't count."""
        breaker = Breaker()
        fail(breaker, FAILURES - 1)
        fail(breaker, 1, WINDOW_SECONDS + 1)
        assert breaker.state(WINDOW_SECONDS + 1) is State.CLOSED

    def test_among_successes(self) -> None:
        """Failures that are fewer than half of the answers don't open it."""
        breaker = Breaker()
        for _ in range(FAILURES + 1):
            permit = breaker.admit(0)
            assert permit is not None
            breaker.record(permit, False, 0)
        fail(breaker, FAILURES)
        assert breaker.state(0) is State.CLOSED


class TestProbing:
    def opened(self) -> Breaker:
        """One that has been open for long enough."""
        breaker = Breaker()
        fail(breaker, FAILURES)
        assert breaker.state(REST_SECONDS) is State.HALF_OPEN
        return breaker

    def test_one_at_a_time(self) -> None:
        """Half open, it lets one request through, and no other until that one is back."""
        breaker = self.opened()
        probe = breaker.admit(REST_SECONDS)
        assert probe is not None
        assert breaker.admit(REST_SECONDS) is None
        breaker.record(probe, None, REST_SECONDS)
        assert breaker.admit(REST_SECONDS) is not None

    def test_recovery(self) -> None:
        """A probe that is answered closes it, and the past is forgotten."""
        breaker = self.opened()
        probe = breaker.admit(REST_SECONDS)
        assert probe is not None
        breaker.record(probe, False, REST_SECONDS)
        assert breaker.state(REST_SECONDS) is State.CLOSED
        fail(breaker, FAILURES - 1, REST_SECONDS)
        assert breaker.state(REST_SECONDS) is State.CLOSED

    def test_still_down(self) -> None:
        """A probe that fails opens it again for as long."""
        breaker = self.opened()
        fail(breaker, 1, REST_SECONDS)
        assert breaker.open_seconds(REST_SECONDS) == REST_SECONDS

    def test_late_result(self) -> None:
        """The result of a request from before it opened changes nothing."""
        breaker = Breaker()
        late = breaker.admit(0)
        assert late is not None
        fail(breaker, FAILURES)
        breaker.record(late, False, 1)
        assert breaker.state(1) is State.OPEN


class Life(RuleBasedStateMachine):
    """Requests that come, end in any order, and time that goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.out: list[Permit] = []
        self.failures: list[float] = []

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    @rule()
    def ask(self) -> None:
        """A request comes."""
        permit = self.breaker.admit(self.now)
        state = self.breaker.state(self.now)
        assert permit is None or state is not State.OPEN
        assert permit is not None or state is not State.CLOSED
        if permit:
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), failed=st.sampled_from([True, True, False, None]))
    def end(self, data: st.DataObject, failed: bool | None) -> None:
        """One of those under way ends."""
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if failed:
            self.failures.append(self.now)
        before = self.breaker.state(self.now)
        opened = self.breaker.record(permit, failed, self.now)
        after = self.breaker.state(self.now)
        assert opened == (after is State.OPEN and before is not State.OPEN)
        if opened and not permit.probe:
            recent = [at for at in self.failures if at > self.now - WINDOW_SECONDS]
            assert len(recent) >= FAILURES

    @invariant()
    def one_probe(self) -> None:
        """Of the permits that still count at most one is a probe."""
        assert sum(p.probe and p.age == self.breaker._age for p in self.out) <= 1

    @invariant()
    def comes_back(self) -> None:
        """With nothing under way, it lets a request through after its rest at the latest."""
        if not self.out:
            assert self.breaker.state(self.now + REST_SECONDS) is not State.OPEN


TestLife = Life.TestCase
