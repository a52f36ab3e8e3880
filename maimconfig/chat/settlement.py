"""The two short transactions around a reply: what is reserved before, what is settled after.

No transaction is open while a provider is asked. Between the two stands a row of PendingReply;
whoever deletes it writes the usage row in the same transaction, so there is exactly one, whatever
happens. When a process dies in between, the row's expiry lets another settle in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from sqlalchemy import and_, bindparam, delete, select

from maimconfig import clock
from maimconfig.agents.models import Agent
from maimconfig.chat import quotas, streams
from maimconfig.chat.models import ChatMessage, MonthlyUse, PendingReply
from maimconfig.chat.streams import StoredMessage, Stream
from maimconfig.chat.wanted import Answer, Ended, Wanted
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.db.statements import Addition, Statement
from maimconfig.http.errors import (
    AgentNotActive,
    AgentNotFound,
    IdempotencyKeyReused,
    StillAnswering,
    TenantNotActive,
    TenantNotFound,
)
from maimconfig.i18n import Text
from maimconfig.tenants import service as tenants
from maimconfig.tenants.models import Tenant
from maimconfig.usage import service as usage

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

ACTION = "chat"

# What a process may take beyond the reply's own time-out to settle, before it is taken for dead.
GRACE = timedelta(minutes=5)

OTHER_MESSAGE = Text(
    "message_id 已用于另一条消息", "message_id was used before for another message"
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A reply that may be made now.

    Attributes:
        pending_id: under which it is settled.
        reply_id: of the reply to be.
        headers: what is left of the tenant's minute.
        started_at: when it was admitted.
    """

    pending_id: str
    reply_id: str
    headers: Mapping[str, str]
    started_at: datetime


class Owed(NamedTuple):
    """A row of PendingReply, as its reply is settled."""

    id: str
    tenant_id: str
    agent_id: str
    api_key_id: str | None
    user_id: str | None
    request_id: str | None
    reply_id: str
    stream_id: str | None
    message_id: str | None
    month: str
    tokens: int
    cost: Decimal
    started_at: datetime


_PENDING = Addition(PendingReply)
_OWED = Statement(
    select(*(getattr(PendingReply, name) for name in Owed._fields)).where(
        PendingReply.id == bindparam("id_of_usage")
    ),
    Owed,
)
_TAKE: Statement[Any] = Statement(
    delete(PendingReply).where(PendingReply.id == bindparam("id_of_usage"))
)
_HELD: Statement[tuple[str, str | None]] = Statement(
    select(Tenant.status, Agent.status)
    .select_from(Tenant)
    .outerjoin(Agent, and_(Agent.id == bindparam("agent_id"), Agent.tenant_id == Tenant.id))
    .where(Tenant.id == bindparam("tenant_id"))
    .with_for_update(read=True)
)


def admit(session: Session, wanted: Wanted, tokens: int, cost: Decimal) -> Admitted | Answer:
    """Keep the message, and reserve what its reply may use.

    Args:
        tokens, cost: the most that the reply is thought to use.

    Returns:
        the reply itself when the message was answered before.

    Raises:
        TenantNotActive, AgentNotActive, AgentNotFound, TenantNotFound: since it was looked at.
        StillAnswering: the message is being answered by somebody else.
        IdempotencyKeyReused: its message_id was another message's.
        RateLimited, QuotaExceeded: the tenant may not, now.
    """
    _hold(session, wanted)
    message_id = None
    if wanted.stream_name is not None:
        kept = _keep(session, wanted)
        if isinstance(kept, Answer):
            return kept
        message_id, stream_id = kept.id, kept.stream_id
    agent = wanted.agent
    rate = quotas.take_minute(session, agent.tenant_id, agent.quotas)
    now = clock.now()
    month = quotas.month_of(now)
    quotas.reserve(session, agent.tenant_id, month, agent.quotas, tokens=tokens, cost=cost)
    admitted = Admitted(new_id("usage"), new_id("msg"), rate.headers if rate else {}, now)
    _PENDING.run(
        session,
        id=admitted.pending_id,
        tenant_id=agent.tenant_id,
        agent_id=agent.id,
        api_key_id=wanted.caller.api_key_id,
        user_id=wanted.user_id,
        request_id=wanted.request_id,
        reply_id=admitted.reply_id,
        stream_id=stream_id if message_id else None,
        message_id=message_id,
        month=month,
        tokens=tokens,
        cost=cost,
        started_at=now,
        expires_at=now + timedelta(seconds=agent.timeout) + GRACE,
    )
    return admitted


def settle(
    session: Session,
    pending_id: str,
    ended: Ended,
    keep: Callable[[Session, str, Ended], None] | None = None,
) -> bool:
    """Write the usage row, keep what was produced, and correct the reservation: once.

    Args:
        keep: see `Wanted.keep`.

    Returns:
        whether this was the one; False when somebody else did it, or the tenant is gone.
    """
    pending = _OWED.first(session, id_of_usage=pending_id)
    if pending is None:
        return False
    tenants.hold(session, pending.tenant_id)
    stream = streams.locked_by_id(session, pending.stream_id) if pending.stream_id else None
    if _TAKE.run(session, id_of_usage=pending_id) != 1:
        return False
    if stream is not None:
        _keep_reply(session, stream, pending, ended)
    if keep is not None:
        keep(session, pending.reply_id, ended)
    used = ended.tokens_in + ended.tokens_out
    quotas.settle(
        session,
        pending.tenant_id,
        pending.month,
        tokens=used - pending.tokens,
        cost=ended.cost - pending.cost,
    )
    _write_usage(session, pending, ended)
    return True


def failed(reason: str) -> Ended:
    """The end of a reply of which nothing is known but why it failed."""
    return Ended("", "failed", clock.now(), details={"failure": reason})


def settle_abandoned(runtime: Runtime, at_most: int = 1000) -> int:
    """Settle, as failed, the replies of processes that died; each in a transaction of its own.

    Returns:
        how many there were.
    """
    expired = select(PendingReply.id).where(PendingReply.expires_at < clock.now()).limit(at_most)
    ids = runtime.read(lambda session: session.scalars(expired).all())
    for pending_id in ids:
        if runtime.write(lambda session, id=pending_id: settle(session, id, failed("lost"))):  # type: ignore[misc]
            log.warning("reply.lost", usage_id=pending_id)
    return len(ids)


def forget_old_months(session: Session) -> None:
    """Delete the counters of months that ended long ago; the usage rows stay."""
    year_ago = quotas.month_of(clock.now() - timedelta(days=366))
    session.execute(delete(MonthlyUse).where(MonthlyUse.month < year_ago))


def answer_of(reply: ChatMessage) -> Answer:
    """A stored reply, told again."""
    return Answer(
        id=reply.id,
        text=reply.content,
        model=reply.model,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        cost=reply.cost,
        estimated=reply.estimated,
        created_at=reply.created_at,
        finish_reason="stop",
        replayed=True,
    )


def _hold(session: Session, wanted: Wanted) -> None:
    """Whatever changes or deletes the tenant or the agent waits for this unit, or was before it."""
    found = _HELD.first(session, tenant_id=wanted.agent.tenant_id, agent_id=wanted.agent.id)
    if found is None:
        raise TenantNotFound
    tenant_status, agent_status = found
    if tenant_status != "active":
        raise TenantNotActive
    if agent_status is None:
        raise AgentNotFound
    if agent_status != "active":
        raise AgentNotActive


def _keep(session: Session, wanted: Wanted) -> StoredMessage | Answer:
    """The message, kept at the end of its stream; or the reply that it had before."""
    agent, name = wanted.agent, wanted.stream_name
    if name is None:
        raise AssertionError("unreachable")
    stream = streams.locked(session, agent.tenant_id, agent.id, name)
    if wanted.message_id is not None:
        known = streams.message_named(session, stream, wanted.message_id)
        if known is not None:
            return _again(session, wanted, known)
    return streams.append(
        session,
        stream,
        id=new_id("msg"),
        created_at=clock.now(),
        role="user",
        content=wanted.message,
        user_id=wanted.user_id,
        message_id=wanted.message_id,
        state="pending",
    )


def _again(session: Session, wanted: Wanted, known: StoredMessage) -> StoredMessage | Answer:
    """A message that was sent before: its reply, or its turn to be answered after all."""
    if known.content != wanted.message:
        raise IdempotencyKeyReused(OTHER_MESSAGE)
    reply = streams.reply_to(session, known)
    if reply is not None:
        return answer_of(reply)
    pending = session.scalars(
        select(PendingReply).where(
            PendingReply.tenant_id == known.tenant_id, PendingReply.message_id == known.id
        )
    ).first()
    if pending is not None and pending.expires_at > clock.now():
        raise StillAnswering
    if pending is not None:
        settle(session, pending.id, failed("lost"))
    streams.mark(session, known.id, "pending")
    return known


def _keep_reply(session: Session, stream: Stream, pending: Owed, ended: Ended) -> None:
    whole = ended.status == "completed"
    state = "complete" if whole else "failed"
    if pending.message_id is None or not streams.mark(session, pending.message_id, state):
        return
    if ended.text:
        streams.append(
            session,
            stream,
            id=pending.reply_id,
            created_at=ended.moment,
            role="assistant",
            content=ended.text,
            reply_to=pending.message_id,
            state="complete" if whole else "partial",
            model=ended.model,
            tokens_in=ended.tokens_in,
            tokens_out=ended.tokens_out,
            cost=ended.cost,
            estimated=ended.estimated,
        )


def _write_usage(session: Session, pending: Owed, ended: Ended) -> None:
    columns: dict[str, Any] = {
        name: getattr(pending, name)
        for name in ("tenant_id", "agent_id", "api_key_id", "user_id", "request_id")
    }
    usage.store(
        session,
        id=pending.id,
        moment=pending.started_at,
        action=ACTION,
        model=ended.model,
        provider=ended.provider,
        tokens_in=ended.tokens_in,
        tokens_out=ended.tokens_out,
        cost=ended.cost,
        price_in=ended.price_in,
        price_out=ended.price_out,
        status=ended.status,
        is_error=ended.status == "failed",
        estimated=ended.estimated,
        latency_ms=ended.latency_ms,
        details={**ended.details, "message_id": pending.reply_id},
        **columns,
    )
