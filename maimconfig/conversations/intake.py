"""Messages come in here, whoever sends them: many of many conversations in one unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from maimconfig.db.session import Session
from maimconfig.http.errors import AppError


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that wants to be stored.

    Attributes:
        tenant_id: whose conversation it is; of another tenant it is unknown.
        session_id: that the contact speaks in; None of staff, the AI and the system.
        sender_id: the contact's, the user's or the agent's id; None of the system.
        client_id: the sender's own id of it, which makes a retry harmless.
        is_private: a note that the contact never sees.
        id: of the message to be, when it was told before.
    """

    tenant_id: str
    conversation_id: str
    session_id: str | None
    sender_type: Literal["contact", "agent", "ai", "system"]
    sender_id: str | None
    content: str
    message_type: str = "text"
    client_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_private: bool = False
    reply_to: str | None = None
    state: Literal["complete", "partial"] = "complete"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored message.

    Attributes:
        message: as it is shown on the wire (`messages.shown`), with `position` beside.
        repeated: it was stored before, under the same client_id.
    """

    message: dict[str, Any]
    repeated: bool = False


def store_many(session: Session, incoming: Sequence[Incoming]) -> list[Stored | AppError]:
    """Store messages, in the order given, with a handful of statements.

    It numbers them, re-opens what a contact writes to, hands off where a keyword asks for it,
    owes the AI's reply, counts what is unread, and has listeners told after the commit.

    Returns:
        for each what became of it: stored, or why not (ConversationNotFound, SessionClosed,
        TransitionForbidden for a closed conversation, ConversationTaken, ClientIdReused). One
        that is refused harms none of the others.
    """
    raise NotImplementedError
