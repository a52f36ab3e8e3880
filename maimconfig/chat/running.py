"""A reply that is being made: read it as it comes or wait for it; it is settled once at its end."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING

import structlog

from maimconfig import clock
from maimconfig.chat.asking import Reply
from maimconfig.chat.settlement import Admitted
from maimconfig.chat.wanted import Answer, Ended, Wanted
from maimconfig.db.types import Money
from maimconfig.http.errors import AppError, NoProviderAnswered, ReplyTooSlow
from maimconfig.providers.types import OFFLINE_MODEL, Delta, Failure, Outcome, Target

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

MILLION = Decimal(1_000_000)


class RunningReply:
    """A reply under way; for one thread at a time.

    Attributes:
        wanted: what was asked for.
        admitted: under which ids it is made.
    """

    def __init__(self, runtime: Runtime, wanted: Wanted, admitted: Admitted, reply: Reply) -> None:
        self.wanted = wanted
        self.admitted = admitted
        self._runtime = runtime
        self._reply = reply
        self._ending = threading.Lock()
        self._ended: Ended | None = None

    def next(self, timeout: float) -> Delta | Answer | None:
        """The next piece of the reply.

        Args:
            timeout: seconds to wait for it.

        Returns:
            a piece of text; the whole answer as the last one, when it is settled; None when
            nothing came in time.

        Raises:
            NoProviderAnswered, ReplyTooSlow: it failed, and is settled.
        """
        event = self._reply.next(timeout)
        if isinstance(event, Outcome):
            return self._answer(event)
        return Delta(storable(event.content)) if event is not None else None

    def wait(self) -> Answer:
        """The whole answer, settled.

        Raises:
            NoProviderAnswered, ReplyTooSlow: as `next` does.
        """
        return self._answer(self._reply.wait())

    def close(self) -> None:
        """Give up a reply that isn't over: its provider is let go, what it produced is settled.

        A reply that is over stays as it is.
        """
        if self._ended is None:
            self._reply.cancel()
            self._settle(self._reply.wait())

    def _answer(self, outcome: Outcome) -> Answer:
        ended = self._settle(outcome)
        if ended.status != "completed":
            raise _error(outcome)
        return Answer(
            id=self.admitted.reply_id,
            text=ended.text,
            model=ended.model,
            tokens_in=ended.tokens_in,
            tokens_out=ended.tokens_out,
            cost=ended.cost,
            estimated=ended.estimated,
            created_at=ended.moment,
            finish_reason=outcome.finish_reason,
        )

    def _settle(self, outcome: Outcome) -> Ended:
        with self._ending:
            if self._ended is None:
                self._ended = ended_of(outcome, self._latency())
                self._note_slow(outcome)
                self._runtime.unsettled.settle(
                    self._runtime, self.admitted.pending_id, self._ended, self.wanted.keep
                )
            return self._ended

    def _latency(self) -> int:
        return round((clock.now() - self.admitted.started_at).total_seconds() * 1000)

    def _note_slow(self, outcome: Outcome) -> None:
        if outcome.milliseconds > self.wanted.agent.slow * 1000:
            log.warning(
                "reply.slow",
                agent_id=self.wanted.agent.id,
                model=outcome.target.name if outcome.target else None,
                milliseconds=outcome.milliseconds,
            )


def ended_of(outcome: Outcome, latency_ms: int) -> Ended:
    """How a reply ended, priced."""
    target = outcome.target
    offline = target is None and outcome.failure is None and not outcome.aborted
    return Ended(
        text=storable(outcome.text),
        status=_status(outcome),
        moment=clock.now(),
        model=target.name if target else OFFLINE_MODEL if offline else None,
        provider=target.endpoint.name if target else None,
        tokens_in=outcome.tokens_in,
        tokens_out=outcome.tokens_out,
        cost=price(target, outcome.tokens_in, outcome.tokens_out),
        price_in=target.price_in if target else None,
        price_out=target.price_out if target else None,
        estimated=outcome.estimated,
        latency_ms=latency_ms,
        details={
            "finish_reason": outcome.finish_reason,
            "failure": outcome.failure.value if outcome.failure else None,
            "first_delta_ms": outcome.first_delta_ms,
            "attempts": [attempt.shown() for attempt in outcome.attempts],
        },
    )


def price(target: Target | None, tokens_in: int, tokens_out: int) -> Decimal:
    """What tokens cost at a model, to the last digit that is stored, and at most what can be."""
    if target is None:
        return Decimal(0)
    exact = (tokens_in * target.price_in + tokens_out * target.price_out) / MILLION
    return min(exact, Money.MOST).quantize(Money.UNIT)


def storable(text: str) -> str:
    """A provider's text without what no database and no JSON takes: NUL, lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _status(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return "failed"
    return "aborted" if outcome.aborted else "completed"


def _error(outcome: Outcome) -> AppError:
    if outcome.failure is Failure.DEADLINE:
        return ReplyTooSlow()
    wait = outcome.retry_after
    headers = {"Retry-After": str(wait)} if wait is not None else {}
    return NoProviderAnswered(headers=headers, internal=f"{outcome.failure}")
