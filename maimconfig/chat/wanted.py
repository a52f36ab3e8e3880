"""What the steps of a reply hand to each other: who asks whom for what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from maimconfig.chat.prompt import Message
from maimconfig.chat.quotas import Quotas
from maimconfig.chat.streams import StreamName
from maimconfig.providers.types import Target

if TYPE_CHECKING:
    from maimconfig.db.session import Session


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for which agent.

    Attributes:
        api_key_id: None for a caller on the trusted network.
        headers: of the answer; what is left of the key's rate limit.
    """

    tenant_id: str
    agent_id: str
    api_key_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatAgent:
    """An agent that may chat, with all that a reply needs of it.

    Attributes:
        config: the effective configuration, secrets in the clear; never show it.
        targets: the models that are tried, in order.
        timeout: seconds that a reply may take.
        slow: seconds after which a reply is worth a line in the log.
    """

    tenant_id: str
    id: str
    name: str
    config: Mapping[str, Any] = field(repr=False)
    targets: Sequence[Target] = field(repr=False)
    quotas: Quotas
    max_tokens: int
    temperature: float | None
    timeout: float
    slow: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reply that is wanted.

    Attributes:
        prompt: the messages that the provider is asked with.
        message: the one that is answered.
        stream_name: where message and reply are kept; None when they aren't.
        message_id: the caller's own id of the message.
        request_id: of the request, for the usage row.
        streamed: whether the reply is wanted as it comes.
        params: further parameters for the provider (top_p, stop, ...).
        metadata: for the answer.
        keep: keeps the reply in place of a stream: called in the transaction that settles it, with
            the reply's id and how it ended. It may be called again when the transaction is.
    """

    caller: Caller
    agent: ChatAgent
    prompt: Sequence[Message]
    message: str
    max_tokens: int
    temperature: float | None
    stream_name: StreamName | None = None
    message_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    streamed: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    keep: Callable[[Session, str, Ended], None] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a reply ended, as it is settled.

    Attributes:
        status: completed, aborted or failed.
        moment: when.
        model, provider: None when nobody was asked.
        price_in, price_out: of the model, per 1M tokens; None when nobody was asked.
        details: for the usage row.
    """

    text: str
    status: str
    moment: datetime
    model: str | None = None
    provider: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = Decimal(0)
    price_in: Decimal | None = None
    price_out: Decimal | None = None
    estimated: bool = False
    latency_ms: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply.

    Attributes:
        id: of the reply.
        cost: in the currency of the models' prices.
        replayed: it was made earlier, and is told again.
    """

    id: str
    text: str
    model: str | None
    tokens_in: int
    tokens_out: int
    cost: Decimal
    estimated: bool
    created_at: datetime
    finish_reason: str | None = None
    replayed: bool = False
