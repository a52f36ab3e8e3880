"""What a chat asks of the providers, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A provider's account; times are in seconds.

    Attributes:
        scope: whose it is: `system`, or the id of the tenant that brought it. What is learnt of an
            endpoint (its breaker, which key works) is shared within its scope alone.
        api_keys: tried in turn; the next is taken at 401, 403 and 429.
        trusted: the operator named the address, so that it may be a private one.
        max_retry: how often a passing failure is tried again.
        timeout: for each of: connect, first byte, silence between two bytes.
        retry_interval: the longest pause before a retry.
    """

    scope: str
    name: str
    base_url: str = field(repr=False)
    api_keys: tuple[str, ...] = field(repr=False)
    trusted: bool
    max_retry: int = 2
    timeout: float = 10
    retry_interval: float = 10


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider; prices are per 1M tokens.

    Attributes:
        name: of the model in the configuration; it is what usage is counted under.
        identifier: of the model at the provider.
        temperature: the model's own, over the task's.
        stream_only: the provider answers this model only as a stream.
        extra_params: sent along.
    """

    name: str
    identifier: str
    endpoint: Endpoint
    price_in: Decimal
    price_out: Decimal
    temperature: float | None = None
    stream_only: bool = False
    extra_params: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One reply that is wanted.

    Attributes:
        messages: {"role", "content"} as OpenAI's API has them.
        offline: makes the text that is answered when there is no target at all.
        stream: whether deltas are wanted as they come.
        max_tokens: of the reply.
        temperature: unless the model has its own.
        params: further parameters of the caller, sent along (top_p, stop, ...).
        timeout: seconds for the whole, retries and fail-over included.
    """

    messages: Sequence[Mapping[str, Any]]
    offline: Callable[[], str]
    stream: bool
    max_tokens: int
    temperature: float | None
    params: Mapping[str, Any]
    timeout: float


class Failure(Enum):
    """Why an attempt, or the whole reply, failed."""

    CONNECT = "connect"  # no connection, or the name is unknown
    TIMEOUT = "timeout"  # connect, first byte or silence took too long
    RATE_LIMITED = "rate_limited"  # 429
    UNAUTHORIZED = "unauthorized"  # 401, 403
    REFUSED = "refused"  # another 4xx
    UNAVAILABLE = "unavailable"  # 5xx
    BROKEN = "broken"  # cut, or not what the protocol says
    EMPTY = "empty"  # an answer without text
    TOO_LARGE = "too_large"  # more than anybody should send
    ADDRESS = "address"  # the outbound rules refuse the address
    OPEN = "open"  # the breaker leaves the endpoint out
    DEADLINE = "deadline"  # the whole took too long


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one target, as the usage row keeps it.

    Attributes:
        failure: None when it answered.
        status: of HTTP, when there was an answer.
        milliseconds: how long it took.
        trusted: whether the provider is the operator's.
    """

    model: str
    provider: str
    failure: Failure | None
    status: int | None
    milliseconds: int
    trusted: bool = False

    def shown(self) -> dict[str, Any]:
        """As JSON; no text of the provider is in it, which may echo a key."""
        return {
            "model": self.model,
            "provider": self.provider,
            "failure": self.failure.value if self.failure else None,
            "status": self.status,
            "milliseconds": self.milliseconds,
        }


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the reply's text."""

    content: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended, whatever happened; its last event.

    Attributes:
        text: what was produced, in part when it failed or was aborted.
        target: who produced it, or was the last to try; None for the offline provider, or when
            nobody was asked.
        finish_reason: `stop`, `length`, ... as the provider says; None when it did not finish.
        tokens_in, tokens_out: as the provider says, or estimated; 0 when nothing was produced.
        estimated: whether the tokens are our estimate.
        failure: why it failed; None when it did not.
        retry_after: seconds that a provider asked to wait, when all were rate-limited.
        aborted: the caller gave up.
        first_delta_ms: milliseconds until the first text; None when there was none.
        milliseconds: for the whole.
    """

    text: str
    target: Target | None
    finish_reason: str | None
    tokens_in: int
    tokens_out: int
    estimated: bool
    failure: Failure | None
    retry_after: int | None
    aborted: bool
    attempts: tuple[Attempt, ...]
    first_delta_ms: int | None
    milliseconds: int


OFFLINE_MODEL = "builtin/offline"
