"""Chat: an agent answers a message; see `settlement` for what is written before and after.

    caller = by_key(runtime, api_key, address=…)      or Caller(tenant_id, agent_id)
    reply = ask(runtime, caller, asked)               a conversation that is kept
    reply = complete(runtime, caller, …)              messages of the caller's own, nothing kept

Both give a RunningReply, whose `wait()` is the whole answer, whose `next()` its pieces, and which
has to be closed. None of it may be called in a unit of work.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maimconfig.agents import config_service
from maimconfig.agents import service as agents
from maimconfig.agents.models import Agent
from maimconfig.chat import (
    asking,
    content_filter,
    offline,
    prompt,
    quotas,
    reactions,
    settlement,
    streams,
)
from maimconfig.chat.prompt import Message, section
from maimconfig.chat.running import RunningReply, price
from maimconfig.chat.streams import StreamName
from maimconfig.chat.wanted import Answer, Caller, ChatAgent, Ended, Wanted
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    AgentNotActive,
    AgentNotFound,
    Invalid,
    MessageDropped,
    TenantNotActive,
    TokenInvalid,
)
from maimconfig.http.fields import REQUIRED
from maimconfig.key_checks import service as key_checks
from maimconfig.key_checks.refusals import good
from maimconfig.providers.types import Ask
from maimconfig.tenants import service as tenants

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

PERMISSION = "chat"


@dataclass(frozen=True, slots=True)
class Asked:
    """A message for an agent.

    Attributes:
        stream_name: where it was said.
        message_id: the caller's own id of it, which makes a retry harmless.
        streamed: whether the reply is wanted as it comes.
        metadata: comes back with the answer.
    """

    message: str
    stream_name: StreamName
    message_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    streamed: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)


def by_key(runtime: Runtime, api_key: str, *, address: str | None, count: bool = True) -> Caller:
    """Whom an API key lets ask.

    Args:
        address: of whoever uses the key; None when that doesn't matter.
        count: whether it counts as used, against its rate limit too.

    Raises:
        AppError: the key is refused, see key_checks.refusals.
        DatabaseUnavailable: the database can't be reached.
    """
    found = key_checks.check(runtime, api_key, address=address, count=count, required=PERMISSION)
    row = good(found)
    headers = found.rate.headers if found.rate is not None else {}
    return Caller(row.tenant_id, row.agent_id, row.id, headers)


def identify(
    runtime: Runtime,
    given: Mapping[str, Any],
    api_key: str | None,
    *,
    address: str | None,
    trusted: bool,
) -> Caller:
    """Who asks: whoever holds a key, or on the trusted network whoever names an agent.

    Args:
        given: tenant_id and agent_id, which beside a key may only repeat what it says.
        address: of whoever uses the key.
        trusted: whether naming an agent is enough.

    Raises:
        TokenInvalid: there is no key, and one is needed.
        AgentNotFound: the key is of another agent than is named.
        Invalid: neither a key nor an agent is given.
        AppError: the key is refused, see `by_key`.
    """
    named = {name: given.get(name) for name in ("tenant_id", "agent_id")}
    if api_key is not None:
        caller = by_key(runtime, api_key, address=address)
        if any(named[name] not in (None, getattr(caller, name)) for name in named):
            raise AgentNotFound(internal="the key is of another agent")
        return caller
    if not trusted:
        raise TokenInvalid
    missing = {name: [REQUIRED] for name, value in named.items() if value is None}
    if missing:
        raise Invalid(details=missing)
    return Caller(given["tenant_id"], given["agent_id"])


def asked_of(payload: Mapping[str, Any], request_id: str | None) -> Asked:
    """The message of a checked body of /api/v2/chat."""
    return Asked(
        message=payload["message"],
        stream_name=streams.name_or_new(payload),
        message_id=payload.get("message_id"),
        user_id=payload.get("user_id"),
        request_id=request_id,
        streamed=payload.get("stream") is True,
        metadata=payload.get("metadata") or {},
    )


def known_agent(session: Session, caller: Caller) -> tuple[str, str]:
    """Tenant and id of a caller's agent, active or not.

    Raises:
        AgentNotFound: there is no such one.
    """
    agent = agents.get(session, caller.agent_id, tenant_id=caller.tenant_id)
    return agent.tenant_id, agent.id


def ask(
    runtime: Runtime, caller: Caller, asked: Asked, *, chance: Callable[[], float] = random.random
) -> RunningReply | tuple[Wanted, Answer]:
    """Have an agent answer a message of a stream.

    Args:
        chance: gives a number from 0 (included) to 1 (excluded); draws the agent's state.

    Returns:
        the reply under way; or what was asked for and the answer that the message had before.

    Raises:
        TenantNotFound, AgentNotFound, TenantNotActive, AgentNotActive: there is nobody to ask.
        MessageDropped: the agent's content filter refuses the message.
        StillAnswering, IdempotencyKeyReused: as its message_id says.
        RateLimited, QuotaExceeded: the tenant may not, now.
    """
    agent, past = runtime.read(lambda session: _recalled(session, caller, asked))
    _refuse_dropped(agent, asked.message)
    group = asked.stream_name.group
    messages = prompt.build(agent.config, past, asked.message, group=group, chance=chance)
    wanted = Wanted(
        caller=caller,
        agent=agent,
        prompt=messages,
        message=asked.message,
        max_tokens=agent.max_tokens,
        temperature=agent.temperature,
        stream_name=asked.stream_name,
        message_id=asked.message_id,
        user_id=asked.user_id,
        request_id=asked.request_id,
        streamed=asked.streamed,
        metadata=_metadata(agent, asked.metadata, messages),
    )
    begun = begin(runtime, wanted)
    return (wanted, begun) if isinstance(begun, Answer) else begun


def complete(
    runtime: Runtime,
    caller: Caller,
    messages: Sequence[Message] | Callable[[Session, ChatAgent], Sequence[Message]],
    *,
    streamed: bool,
    max_tokens: int | None = None,
    temperature: float | None = None,
    params: Mapping[str, Any] | None = None,
    user_id: str | None = None,
    request_id: str | None = None,
    keep: Callable[[Session, str, Ended], None] | None = None,
    chance: Callable[[], float] = random.random,
) -> RunningReply:
    """Have an agent answer messages that the caller keeps itself; the persona is put in front.

    Args:
        messages: as OpenAI's API has them; a content may be text or a list of parts. Or what
            recalls them, when the agent is known.
        max_tokens, temperature: in place of the agent's own.
        params: further parameters for the provider.
        keep: see `Wanted.keep`.
        chance: see `ask`.

    Raises:
        TenantNotFound, AgentNotFound, TenantNotActive, AgentNotActive, MessageDropped,
        RateLimited, QuotaExceeded: as `ask` does.
    """

    def recall(session: Session) -> tuple[ChatAgent, Sequence[Message]]:
        agent = resolve(session, caller)
        return agent, messages(session, agent) if callable(messages) else messages

    agent, said = runtime.read(recall)
    message = _last_said(said)
    _refuse_dropped(agent, message)
    system = prompt.build(agent.config, (), message, group=False, chance=chance)[:-1]
    begun = begin(
        runtime,
        Wanted(
            caller=caller,
            agent=agent,
            prompt=[*system, *said],
            message=message,
            max_tokens=max_tokens or agent.max_tokens,
            temperature=agent.temperature if temperature is None else temperature,
            user_id=user_id,
            request_id=request_id,
            streamed=streamed,
            params=params or {},
            keep=keep,
        ),
    )
    if isinstance(begun, Answer):
        raise AssertionError("unreachable")
    return begun


def begin(runtime: Runtime, wanted: Wanted) -> RunningReply | Answer:
    """Reserve what a reply may use, and have it made.

    Returns:
        the reply under way; the answer itself when the message was answered before.

    Raises:
        AppError: see `settlement.admit`.
    """
    tokens_in = asking.estimate(wanted.prompt)
    tokens = tokens_in + wanted.max_tokens
    costs = [price(target, tokens_in, wanted.max_tokens) for target in wanted.agent.targets]
    admitted = runtime.write(
        lambda session: settlement.admit(session, wanted, tokens, max(costs, default=_FREE))
    )
    if isinstance(admitted, Answer):
        return admitted
    try:
        reply = runtime.providers.start(wanted.agent.targets, _ask_of(wanted))
    except BaseException:
        ended = settlement.failed("internal")
        runtime.unsettled.settle(runtime, admitted.pending_id, ended)
        raise
    return RunningReply(runtime, wanted, admitted, reply)


def resolve(session: Session, caller: Caller) -> ChatAgent:
    """The agent that a caller asks.

    Raises:
        TenantNotFound, AgentNotFound: unknown, or the agent is of another tenant.
        TenantNotActive, AgentNotActive: it doesn't chat.
    """
    tenant = tenants.get(session, caller.tenant_id)
    agent = agents.get(session, caller.agent_id, tenant_id=caller.tenant_id)
    if tenant.status != "active":
        raise TenantNotActive
    if agent.status != "active":
        raise AgentNotActive
    return _chat_agent(session, agent, quotas.of(session, tenant))


_FREE = price(None, 0, 0)


def _chat_agent(session: Session, agent: Agent, limits: quotas.Quotas) -> ChatAgent:
    runtime = session.runtime
    config = config_service.opened(session, agent)
    task = {
        **runtime.catalogue.tasks.get(asking.TASK, {}),
        **section(config, "config_overrides", "model", "model_task_config", asking.TASK),
    }
    chat = section(config, "config_overrides", "chat")
    return ChatAgent(
        tenant_id=agent.tenant_id,
        id=agent.id,
        name=agent.name,
        config=config,
        targets=asking.targets(runtime, agent.tenant_id, config),
        quotas=limits,
        max_tokens=task.get("max_tokens") or 1024,
        temperature=task.get("temperature"),
        timeout=chat.get("response_timeout") or 30,
        slow=task.get("slow_threshold") or 15.0,
    )


def context_size(agent: ChatAgent) -> int:
    """How many messages of the past an agent is told."""
    size: int | None = section(agent.config, "config_overrides", "chat").get("max_context_size")
    return size or 18


def _recalled(
    session: Session, caller: Caller, asked: Asked
) -> tuple[ChatAgent, Sequence[Message]]:
    """The agent, and what was said in the stream before the message."""
    agent = resolve(session, caller)
    stream = streams.find(session, agent.tenant_id, agent.id, asked.stream_name)
    if stream is None:
        return agent, ()
    before = None
    if asked.message_id is not None:
        earlier = streams.message_named(session, stream, asked.message_id)
        before = earlier.seq if earlier is not None else None
    return agent, streams.last(session, stream, context_size(agent), before)


def _refuse_dropped(agent: ChatAgent, message: str) -> None:
    rules = section(agent.config, "config_overrides", "message_receive")
    if content_filter.drops(rules, message):
        raise MessageDropped


def _metadata(
    agent: ChatAgent, given: Mapping[str, Any], messages: Sequence[Message]
) -> dict[str, Any]:
    shown = section(agent.config, "config_overrides", "debug").get("show_prompt") is True
    return {**given, "prompt": messages} if shown else dict(given)


def _ask_of(wanted: Wanted) -> Ask:
    agent = wanted.agent
    rules = section(agent.config, "config_overrides", "keyword_reaction")
    nickname = section(agent.config, "bot_overrides").get("nickname") or agent.name

    def without_provider() -> str:
        said = reactions.matching(rules, wanted.message)
        return offline.reply(nickname, wanted.message, said)

    return Ask(
        messages=wanted.prompt,
        offline=without_provider,
        stream=wanted.streamed,
        max_tokens=wanted.max_tokens,
        temperature=wanted.temperature,
        params=wanted.params,
        timeout=agent.timeout,
    )


def _last_said(messages: Sequence[Message]) -> str:
    """The text of the last message of the user; empty when there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return _text(message.get("content"))
    return ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))
