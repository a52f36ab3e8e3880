"""Who uses a session, and on which side: the one place for HTTP and the gateway alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maimconfig.db.session import Session

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime


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
    """

    kind: Literal["session", "key", "login"]
    tenant_id: str | None = None
    agent_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    role: str | None = None
    api_key_id: str | None = None

    def may(self, permission: str) -> bool:
        """Whether it is a login whose role has a permission."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that the caller may use.

    Attributes:
        side: contact, or staff, who see private notes too.
        user_id: of staff; as a session was given it, of the contact.
        sender_id: under which the caller's messages are stored: the contact's id or the user's.
        may_send: staff without message.send only read.
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


def principal_of(runtime: Runtime, token: str, *, address: str | None) -> Principal:
    """Who shows this token: `mms_…` of a session, `mmc_…` of an agent, else an access token.

    Args:
        address: of who shows it.

    Raises:
        TokenInvalid: it isn't good.
        AppError: a key is refused, see key_checks.refusals.
        DatabaseUnavailable: the database can't be reached.
    """
    raise NotImplementedError


def opened(session: Session, principal: Principal, session_id: str) -> Opened:
    """A session, for somebody who may use it.

    Raises:
        ChatSessionNotFound: there is none, or it isn't this caller's: the two look the same.
    """
    raise NotImplementedError
