"""Who uses a session, and on which side: the one place for HTTP and the gateway alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import bindparam, select

from maimconfig.agents.models import Agent
from maimconfig.chat import service as chat
from maimconfig.conversations.staff import MANAGE
from maimconfig.db.look_up import LookUp
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    AgentNotActive,
    ChatSessionNotFound,
    TenantNotActive,
    TokenInvalid,
)
from maimconfig.security import tokens
from maimconfig.sessions.models import ChatSession
from maimconfig.tenants.models import Tenant
from maimconfig.users import presence
from maimconfig.users.login import authenticate
from maimconfig.users.roles import may

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

KEY_PREFIX = "mmc_"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who has shown a good token.

    Attributes:
        kind: what was shown: a session's own token, an agent's key, or a login.
        tenant_id, agent_id: of a session or a key; None of a login.
        session_id: that a session's token is good for.
        user_id: of a login.
        role: of a login's user.
        api_key_id: of a key.
        contact_user_id: of a session: its contact, as the session was given it.
    """

    kind: Literal["session", "key", "login"]
    tenant_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    role: str | None = None
    api_key_id: str | None = None
    contact_user_id: str | None = None

    def may(self, permission: str) -> bool:
        """Whether it is a login whose role has a permission."""
        return self.role is not None and may(self.role, permission)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that the caller may use.

    Attributes:
        side: contact, or staff, who see private notes too.
        user_id: of staff; of the contact, as the session was given it.
        sender_id: under which the caller's messages are stored: the contact's id or the user's.
        may_send: staff without message.send only read.
        may_manage: staff who may change what another person has.
    """

    session_id: str
    conversation_id: str
    tenant_id: str
    agent_id: str
    contact_id: str
    side: Literal["contact", "staff"]
    user_id: str
    sender_id: str
    may_send: bool
    may_manage: bool = False


class _Nonce(NamedTuple):
    tenant_id: str
    agent_id: str
    user_id: str
    nonce: str
    session_status: str
    tenant_status: str
    agent_status: str


_NONCE_BY_ID: LookUp[_Nonce] = LookUp(
    select(
        ChatSession.tenant_id,
        ChatSession.agent_id,
        ChatSession.user_id,
        ChatSession.nonce,
        ChatSession.status,
        Tenant.status,
        Agent.status,
    )
    .join(Tenant, Tenant.id == ChatSession.tenant_id)
    .join(Agent, Agent.id == ChatSession.agent_id)
    .where(ChatSession.id == bindparam("session_id")),
    _Nonce,
)


def principal_of(
    runtime: Runtime, token: str, *, address: str | None, count: bool = True
) -> Principal:
    """Who shows this token: `mms_…` of a session, `mmc_…` of an agent, else an access token.

    Args:
        address: of who shows it.
        count: whether a key counts as used; not when the same caller is only looked at again.

    Raises:
        TokenInvalid: it isn't good, or its session was closed.
        TenantNotActive, AgentNotActive: a session's are suspended, which holds at once.
        AppError: a key is refused, see key_checks.refusals.
        DatabaseUnavailable: the database can't be reached.
    """
    if token.startswith(tokens.CHAT_PREFIX):
        return _of_session(runtime, token)
    if token.startswith(KEY_PREFIX):
        caller = chat.by_key(runtime, token, address=address, count=count)
        return Principal("key", caller.tenant_id, caller.agent_id, api_key_id=caller.api_key_id)
    login = authenticate(runtime, token)
    return Principal("login", user_id=login.user_id, role=login.role)


def opened(session: Session, principal: Principal, session_id: str) -> Opened:
    """A session, for somebody who may use it.

    Raises:
        ChatSessionNotFound: there is none, or it isn't this caller's: the two look the same.
    """
    row = session.get(ChatSession, session_id)
    if row is None:
        raise ChatSessionNotFound
    if _is_contact(principal, row):
        return _opened(row, "contact", row.user_id, row.contact_id, True)
    if principal.user_id is None or not is_staff(session, principal, row.tenant_id):
        raise ChatSessionNotFound(internal="it is somebody else's")
    user_id = principal.user_id
    return _opened(
        row, "staff", user_id, user_id, principal.may("message.send"), principal.may(MANAGE)
    )


def opened_of_conversation(session: Session, principal: Principal, conversation_id: str) -> Opened:
    """The caller's own session in a conversation, the newest one; of staff any.

    Raises:
        ChatSessionNotFound: there is none that it may use.
    """
    of = select(ChatSession.id).where(ChatSession.conversation_id == conversation_id)
    for session_id in session.scalars(of.order_by(ChatSession.id.desc())):
        try:
            return opened(session, principal, session_id)
        except ChatSessionNotFound:
            continue
    raise ChatSessionNotFound


def is_staff(session: Session, principal: Principal, tenant_id: str) -> bool:
    """Whether the caller may read the conversations of a tenant."""
    if not principal.may("conversation.read"):
        return False
    served = select(presence.serves(principal.user_id, tenant_id))
    return bool(session.scalar(served))


def _of_session(runtime: Runtime, token: str) -> Principal:
    sent = tokens.parse_chat_token(token)
    row = runtime.database.find(_NONCE_BY_ID, session_id=sent.session_id)
    if row is None or not tokens.is_genuine_chat_token(runtime.vault, sent, row.nonce):
        raise TokenInvalid(internal="unknown chat token")
    # Closing is how to revoke it; who merely stayed away may still read what was said.
    if row.session_status == "closed":
        raise TokenInvalid(internal="its session was closed")
    if row.tenant_status != "active":
        raise TenantNotActive
    if row.agent_status != "active":
        raise AgentNotActive
    return Principal(
        "session", row.tenant_id, row.agent_id,
        session_id=sent.session_id, contact_user_id=row.user_id,
    )  # fmt: skip


def _is_contact(principal: Principal, row: ChatSession) -> bool:
    if principal.kind == "session":
        return principal.session_id == row.id
    if principal.kind == "key":
        return (principal.tenant_id, principal.agent_id) == (row.tenant_id, row.agent_id)
    return row.created_by is not None and row.created_by == principal.user_id


def _opened(
    row: ChatSession, side: Literal["contact", "staff"], user_id: str, sender_id: str,
    may_send: bool, may_manage: bool = False,
) -> Opened:  # fmt: skip
    return Opened(
        session_id=row.id,
        conversation_id=row.conversation_id,
        tenant_id=row.tenant_id,
        agent_id=row.agent_id,
        contact_id=row.contact_id,
        side=side,
        user_id=user_id,
        sender_id=sender_id,
        may_send=may_send,
        may_manage=may_manage,
    )
