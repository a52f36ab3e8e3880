"""The order in which targets are tried for one reply: retries, keys, fail-over, the deadline.

For each target: what passes (time-outs, 429, 5xx, broken connections) is tried again after a pause,
a refused key gives way to the next one, and everything else leads to the next target. Once a piece
of text has gone to the caller nothing is tried again: no reply is made of two.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from maimconfig.providers import estimate
from maimconfig.providers.board import Board
from maimconfig.providers.openai_api import Answer, AttemptFailed
from maimconfig.providers.types import Ask, Attempt, Failure, Outcome, Target

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS: Final = 0.2
# A deadline that leaves an endpoint less than this tells nothing of the endpoint.
FAIR_SECONDS: Final = 5.0

_PASSING: Final = frozenset(
    (Failure.CONNECT, Failure.TIMEOUT, Failure.RATE_LIMITED, Failure.UNAVAILABLE, Failure.BROKEN)
)
# An empty or too large answer isn't among them: what a caller asks for may bring it about, and no
# caller shall be able to shut an endpoint for the others.
_DOWN: Final = _PASSING
_OF_THE_KEY: Final = frozenset((Failure.UNAUTHORIZED, Failure.RATE_LIMITED))


class Complete(Protocol):
    """Asks a target once; `openai_api.OpenAIApi.complete` in real life."""

    async def __call__(self, target: Target, key: str, ask: Ask, answer: Answer) -> None:
        """Fill in `answer`, or raise AttemptFailed."""


class Chain:
    """One reply under way."""

    def __init__(
        self,
        targets: Sequence[Target],
        ask: Ask,
        complete: Complete,
        board: Board,
        emit: Callable[[str], None],
    ) -> None:
        """
        Args:
            targets: at least one, in order.
            emit: is called with each piece of text, if a stream is wanted.
        """
        self._targets = targets
        self._ask = ask
        self._complete = complete
        self._board = board
        self._emit = emit
        self._attempts: list[Attempt] = []
        self._last_of_target: list[AttemptFailed] = []
        self._emitted = False
        self._answer: Answer | None = None
        self._target: Target | None = None
        self._failed: AttemptFailed | None = None
        self._first_text: float | None = None
        self._began = board.now()
        self._expired = False
        self._cancelled = False
        self._task: asyncio.Task[Outcome] | None = None

    async def run(self) -> Outcome:
        """Try the targets; whatever happens, an Outcome says how it ended."""
        aborted = False
        self._task = asyncio.current_task()
        if self._cancelled:
            return self._outcome(aborted=True)
        timer = asyncio.get_running_loop().call_later(self._left(), self._expire)
        try:
            await self._try_all()
        except asyncio.CancelledError:
            # It was cancelled by `cancel` or `_expire`, once: the task's end is this Outcome.
            aborted = not self._expired
        finally:
            timer.cancel()
        return self._outcome(aborted=aborted)

    def cancel(self) -> None:
        """Give up; for the loop's thread. A second time does nothing, as it would interrupt the
        closing of the connection.
        """
        if not self._cancelled:
            self._cancelled = True
            if self._task is not None:
                self._task.cancel()

    def _expire(self) -> None:
        if not self._cancelled:
            self._expired = True
            self.cancel()

    async def _try_all(self) -> None:
        for target in self._targets:
            failed = await self._try(target)
            if failed is None:
                self._failed = None
                return
            self._last_of_target.append(failed)
            if failed.failure is not Failure.OPEN or self._failed is None:
                self._failed, self._target = failed, target
            if self._emitted:
                return

    async def _try(self, target: Target) -> AttemptFailed | None:
        """Ask a target as often as makes sense; None when it answered."""
        retries = 0
        ring = self._board.keys(target.endpoint)
        keys = ring.order(target.endpoint.api_keys, self._board.now())
        while True:
            failed = await self._attempt(target, keys[0])
            if failed is None or self._emitted:
                return failed
            if failed.failure in _OF_THE_KEY and len(keys) > 1:
                keys.pop(0)
                continue
            if failed.failure not in _PASSING or retries >= target.endpoint.max_retry:
                return failed
            pause = self._pause(target, retries, failed)
            if pause is None:
                return failed
            await asyncio.sleep(pause)
            retries += 1
            keys = ring.order(target.endpoint.api_keys, self._board.now())

    def _pause(self, target: Target, retries: int, failed: AttemptFailed) -> float | None:
        """Seconds before a retry; None when there is no time for one."""
        longest, retry_after = target.endpoint.retry_interval, failed.retry_after or 0
        doubled = FIRST_PAUSE_SECONDS * 2 ** min(retries, 16)
        # Full jitter: callers that failed together don't come back together.
        pause = max(random.uniform(0, min(longest, doubled)), retry_after)
        left = self._left() - self._kept_for_next(target, failed)
        return pause if retry_after <= longest and pause < left else None

    def _kept_for_next(self, target: Target, failed: AttemptFailed) -> float:
        """Seconds that a retry must leave.

        By default an endpoint that hangs would take the whole deadline: 10 s thrice of 30 s.
        """
        if failed.failure is not Failure.TIMEOUT or target is self._targets[-1]:
            return 0
        return target.endpoint.timeout + FAIR_SECONDS

    async def _attempt(self, target: Target, key: str) -> AttemptFailed | None:
        endpoint = target.endpoint
        permit = self._board.admit(endpoint)
        began = self._board.now()
        if permit is None:
            return self._note(target, AttemptFailed(Failure.OPEN), began)
        self._target = target
        self._answer = Answer(self._write)
        down: bool | None = None
        try:
            failed = await self._asked(target, key, self._answer)
            down = None if _is_ours(failed) else failed is not None and failed.failure in _DOWN
        except asyncio.CancelledError:
            down = True if self._was_fair(began) else None
            self._note_cancel(target, began)
            raise
        finally:
            self._board.record(endpoint, permit, down)
        self._learn(target, key, failed)
        return self._note(target, failed, began)

    async def _asked(self, target: Target, key: str, answer: Answer) -> AttemptFailed | None:
        try:
            await self._complete(target, key, self._ask, answer)
        except AttemptFailed as failed:
            return failed
        return AttemptFailed(Failure.EMPTY, answer.status) if answer.is_empty else None

    def _was_fair(self, began: float) -> bool:
        silent = self._answer is not None and self._answer.is_empty
        return self._expired and silent and self._board.now() - began >= FAIR_SECONDS

    def _learn(self, target: Target, key: str, failed: AttemptFailed | None) -> None:
        ring, now = self._board.keys(target.endpoint), self._board.now()
        if failed is None:
            ring.works(key)
        elif failed.failure is Failure.UNAUTHORIZED:
            ring.refused(key, now)
        elif failed.failure is Failure.RATE_LIMITED:
            ring.limited(key, now, failed.retry_after)

    def _write(self, piece: str) -> None:
        if self._first_text is None:
            self._first_text = self._board.now()
        if self._ask.stream:
            self._emitted = True
            self._emit(piece)

    def _note(
        self, target: Target, failed: AttemptFailed | None, began: float
    ) -> AttemptFailed | None:
        status = failed.status if failed else self._status()
        self._add(target, failed.failure if failed else None, status, began)
        if failed:
            log.warning(
                "provider.failed",
                failure=failed.failure.value,
                status=status,
                provider=target.endpoint.name,
                scope=target.endpoint.scope,
            )
            if not self._emitted:
                # Nothing of it reached the caller, so nothing of it is the reply's.
                self._answer = self._first_text = None
        return failed

    def _note_cancel(self, target: Target, began: float) -> None:
        failure = Failure.DEADLINE if self._expired else None
        self._add(target, failure, self._status(), began)

    def _status(self) -> int | None:
        return self._answer.status if self._answer else None

    def _add(
        self, target: Target, failure: Failure | None, status: int | None, began: float
    ) -> None:
        took = _milliseconds(self._board.now() - began)
        endpoint = target.endpoint
        self._attempts.append(
            Attempt(target.name, endpoint.name, failure, status, took, endpoint.trusted)
        )

    def _left(self) -> float:
        return max(0.0, self._began + self._ask.timeout - self._board.now())

    def _outcome(self, *, aborted: bool) -> Outcome:
        answer = self._answer
        text = answer.text if answer else ""
        tokens_in, tokens_out, estimated = self._tokens(answer, text)
        first = None if self._first_text is None else self._first_text - self._began
        return Outcome(
            text=text,
            target=self._target,
            finish_reason=answer.finish_reason if answer else None,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            estimated=estimated,
            failure=self._failure(aborted=aborted),
            retry_after=self._retry_after(),
            aborted=aborted,
            attempts=tuple(self._attempts),
            first_delta_ms=None if first is None else _milliseconds(first),
            milliseconds=_milliseconds(self._board.now() - self._began),
        )

    def _failure(self, *, aborted: bool) -> Failure | None:
        if aborted:
            return None
        if self._expired:
            return Failure.DEADLINE
        return self._failed.failure if self._failed else None

    def _tokens(self, answer: Answer | None, text: str) -> tuple[int, int, bool]:
        if answer is None or answer.is_empty:
            return 0, 0, False
        if answer.usage:
            return (*answer.usage, False)
        return estimate.prompt_tokens(self._ask.messages), max(1, estimate.tokens(text)), True

    def _retry_after(self) -> int | None:
        """The shortest that was asked for, when every target ended so."""
        ends = self._last_of_target
        if not self._failed or any(end.failure is not Failure.RATE_LIMITED for end in ends):
            return None
        return min((end.retry_after for end in ends if end.retry_after is not None), default=None)


def _is_ours(failed: AttemptFailed | None) -> bool:
    """Whether a failure says nothing of the endpoint, which wasn't asked."""
    return failed is not None and failed.failure is Failure.ADDRESS


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
