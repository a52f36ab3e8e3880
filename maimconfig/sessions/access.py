"""Who calls /api/v1/chat: what a request shows, and whom a session is begun for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import request

from maimconfig.agents import service as agents
from maimconfig.agents.models import Agent
from maimconfig.db.session import Session
from maimconfig.http.context import actor, client_address, current, note_tenant, runtime
from maimconfig.http.errors import (
    AgentNotFound,
    GuestsNotAllowed,
    Invalid,
    RateLimited,
    TokenInvalid,
)
from maimconfig.http.fields import REQUIRED
from maimconfig.rate_limits import service as rate_limits
from maimconfig.sessions.callers import Principal, is_staff, principal_of
from maimconfig.sessions.service import Wanted
from maimconfig.tenants.models import Tenant

WINDOW = timedelta(minutes=1)


def principal() -> Principal:
    """Who asks; call it before a unit of work.

    Raises:
        TokenInvalid: nothing good is shown.
        AppError: a key is refused.
    """
    token = _sent()
    if token is None:
        raise TokenInvalid
    return _proven(token)


def principal_or_guest(payload: Mapping[str, Any]) -> Principal | None:
    """Who asks for a new session; None for a guest.

    Guests count against their address's limit, and so do logins that don't vouch for the contact.

    Raises:
        TokenInvalid: what is shown isn't good, or is the token of another session.
        RateLimited: guests of this address begin too many.
        AppError: a key is refused.
    """
    token = payload.get("api_key") or _sent()
    if token is None:
        _throttle_guests()
        current().caller = f"guest:{client_address()}"[:50]
        return None
    proven = _proven(token)
    if proven.kind == "session":
        raise TokenInvalid(internal="a session's token begins no other")
    if proven.kind == "login" and not runtime().read(
        lambda session: _vouches_for(session, proven, payload.get("agent_id"))
    ):
        _throttle_guests()
    return proven


def wanted(session: Session, who: Principal | None, payload: Mapping[str, Any]) -> Wanted:
    """The session that somebody may begin.

    A key vouches for the contact's id, and so does whoever owns the tenant or serves it as staff;
    all others are guests, whom the tenant must allow.

    Raises:
        AgentNotFound: the key is of another agent than is named, or a login names none there is.
        GuestsNotAllowed: the tenant takes none.
        Invalid: no agent is named.
    """
    tenant_id, agent_id, guest = _whose(session, who, payload.get("agent_id"))
    optional = ("agent_type", "channel_type", "conversation_id", "metadata", "context")
    return Wanted(
        tenant_id=tenant_id,
        agent_id=agent_id,
        user_id=payload["user_id"],
        guest=guest,
        created_by=who.user_id if who is not None else None,
        **{name: payload[name] for name in optional if payload.get(name) is not None},
    )


def _whose(session: Session, who: Principal | None, agent_id: str | None) -> tuple[str, str, bool]:
    if who is not None and who.tenant_id is not None and who.agent_id is not None:
        if agent_id not in (None, who.agent_id):
            raise AgentNotFound(internal="the key is of another agent")
        return who.tenant_id, who.agent_id, False
    if agent_id is None:
        raise Invalid(details={"agent_id": [REQUIRED]})
    agent, tenant = _with_tenant(session, agent_id)
    if agent is not None and tenant is not None:
        if who is not None and _vouches(session, who, tenant):
            return tenant.id, agent.id, False
        if tenant.tenant_config.get("guest_chat") is True:
            return tenant.id, agent.id, True
    # Whether there is such an agent is nobody's business who may not talk to it.
    raise AgentNotFound if who is not None else GuestsNotAllowed


def _vouches_for(session: Session, who: Principal, agent_id: str | None) -> bool:
    tenant = None if agent_id is None else _with_tenant(session, agent_id)[1]
    return tenant is not None and _vouches(session, who, tenant)


def _vouches(session: Session, who: Principal, tenant: Tenant) -> bool:
    return tenant.owner_id == who.user_id or is_staff(session, who, tenant.id)


def _with_tenant(session: Session, agent_id: str) -> tuple[Agent | None, Tenant | None]:
    try:
        agent = agents.get(session, agent_id)
    except AgentNotFound:
        return None, None
    return agent, session.get(Tenant, agent.tenant_id)


def _throttle_guests() -> None:
    limit = runtime().settings.guest_sessions_per_minute
    subject = f"guest:address:{client_address()}"

    def take(session: Session) -> None:
        verdict = rate_limits.take(session, subject, limit=limit, window=WINDOW)
        current().headers.update(verdict.headers)
        if not verdict.allowed:
            raise RateLimited(retry_after=verdict.reset)

    runtime().write(take, actor())


def _proven(token: str) -> Principal:
    found = principal_of(runtime(), token, address=client_address())
    current().caller = found.user_id or found.session_id or found.api_key_id
    note_tenant(found.tenant_id)
    return found


def _sent() -> str | None:
    """The token of `Authorization: Bearer` or the key of `X-API-Key`; None when there is none.

    Raises:
        TokenInvalid: there is an Authorization of another kind.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return request.headers.get("X-API-Key")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenInvalid
    return token.strip()
