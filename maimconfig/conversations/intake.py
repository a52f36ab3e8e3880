"""Messages come in here, whoever sends them: many of many conversations in one unit.

All of them cost a handful of statements, in Core and without objects of the ORM: a gateway stores
a thousand a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from maimconfig import clock
from maimconfig.conversations import announcing, handoff
from maimconfig.conversations import intake_rows as rows
from maimconfig.conversations.messages import shown
from maimconfig.conversations.models import Conversation
from maimconfig.conversations.service import CLOSED, tell
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import (
    AppError,
    ConversationNotFound,
    ConversationTaken,
    SessionClosed,
    TransitionForbidden,
)
from maimconfig.webhooks.service import Event, emit_many

# What a contact says with these wants an answer.
_ANSWERED = frozenset({"text", "image", "file", "audio", "video"})


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that wants to be stored.

    Attributes:
        tenant_id: whose conversation it is; of another tenant it is unknown.
        session_id: that the contact speaks in, or that the AI answers in; else None.
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
        message: as it is shown on the wire.
        position: where it stands among all messages of its conversation.
        repeated: it was stored before, under the same client_id, and this is the first one.
    """

    message: dict[str, Any]
    position: int
    repeated: bool = False


def store_many(session: Session, incoming: Sequence[Incoming]) -> list[Stored | AppError]:
    """Store messages, in the order given, with a handful of statements.

    It numbers them, re-opens what a contact writes to, hands off where a keyword asks for it,
    owes the AI's reply, counts what is unread, and has listeners told after the commit.

    Returns:
        for each what became of it: stored, or why not (ConversationNotFound, SessionClosed,
        TransitionForbidden for a closed conversation, ConversationTaken). One that is refused
        harms none of the others.
    """
    batch = _Batch(session, incoming)
    results = [batch.take(one) for one in incoming]
    batch.write()
    return results


def store(session: Session, incoming: Incoming) -> Stored:
    """Store one message.

    Raises:
        AppError: why not, see `store_many`.
    """
    (result,) = store_many(session, [incoming])
    if isinstance(result, AppError):
        raise result
    return result


def _key(one: Incoming) -> tuple[str, str, str] | None:
    """What a retry is known by; None of a message that can't be repeated."""
    if one.client_id is None or one.sender_id is None:
        return None
    return one.conversation_id, one.sender_id, one.client_id


class _Batch:
    """Messages on their way: what is known before, and what is to be written."""

    def __init__(self, session: Session, incoming: Sequence[Incoming]) -> None:
        self._session = session
        self._now = clock.now()
        conversations = {one.conversation_id for one in incoming}
        self._conversations = rows.lock(session, conversations, {one.tenant_id for one in incoming})
        sessions = {one.session_id for one in incoming if one.session_id is not None}
        self._open = rows.open_sessions(session, sessions)
        self._known = {
            key: Stored(shown(row), row["position"])
            for key, row in rows.known(session, set(filter(None, map(_key, incoming)))).items()
        }
        self._messages: list[dict[str, Any]] = []
        self._told: list[Event] = []
        self._owed: list[dict[str, Any]] = []
        self._spoken_in: set[str] = set()
        self._wants_person: list[str] = []
        self._keywords = session.runtime.settings.handoff_keywords

    def take(self, one: Incoming) -> Stored | AppError:
        """Number a message, or say why it isn't stored."""
        conversation = self._conversations.get(one.conversation_id)
        if conversation is None or conversation["tenant_id"] != one.tenant_id:
            return ConversationNotFound()
        key = _key(one)
        if key is not None and (known := self._known.get(key)) is not None:
            return Stored(known.message, known.position, repeated=True)
        refused = self._refusal(one, conversation)
        if refused is not None:
            return refused
        stored = self._number(one, conversation)
        if key is not None:
            self._known[key] = stored
        return stored

    def write(self) -> None:
        """Write what was taken."""
        if not self._messages:
            return
        moved = [one for one in self._conversations.values() if one["moved"]]
        rows.write(self._session, self._messages, moved, self._owed)
        if self._spoken_in:
            rows.note_spoken(self._session, self._spoken_in, self._now)
        if self._owed:
            self._session.when_committed(self._session.runtime.answering.wake)
        for conversation_id in self._wants_person:
            self._hand_off(conversation_id)
        emit_many(self._session, self._told)
        for one in moved:
            tell(self._session, one["id"])

    def _refusal(self, one: Incoming, conversation: dict[str, Any]) -> AppError | None:
        if conversation["status"] == "closed":
            return TransitionForbidden(CLOSED)
        # What is said to a contact is said, though it has left.
        in_session = one.sender_type == "contact" and one.session_id is not None
        if in_session and one.session_id not in self._open:
            return SessionClosed()
        if one.sender_type == "agent" and not one.is_private:
            return self._as_its_person(conversation, one.sender_id or "")
        return None

    def _as_its_person(self, conversation: dict[str, Any], user_id: str) -> AppError | None:
        """Who answers in a conversation that nobody has takes it over."""
        if conversation["assignee_id"] == user_id:
            return None
        row = self._row(conversation["id"])
        try:
            handoff.take_over(self._session, row, user_id)
        except ConversationTaken as error:
            return error
        self._session.flush()
        for name in ("assignee_id", "current_agent_type", "status", "resolved_at"):
            conversation[name] = getattr(row, name)
        self._owed = [one for one in self._owed if one["conversation_id"] != row.id]
        return None

    def _number(self, one: Incoming, conversation: dict[str, Any]) -> Stored:
        seq = None
        if not one.is_private:
            seq = conversation["next_seq"]
            conversation["next_seq"] = seq + 1
        position = conversation["next_position"]
        conversation["next_position"] = position + 1
        conversation["moved"] = True
        conversation["last_activity_at"] = self._now
        row = {
            "id": one.id or new_id("msg"),
            "tenant_id": one.tenant_id,
            "conversation_id": one.conversation_id,
            "position": position,
            "seq": seq,
            "session_id": one.session_id,
            "sender_type": one.sender_type,
            "sender_id": one.sender_id,
            "content": one.content,
            "message_type": one.message_type,
            "metadata": one.metadata,
            "is_private": one.is_private,
            "client_id": one.client_id,
            "reply_to": one.reply_to,
            "state": one.state,
            "rating": None,
            "created_at": self._now,
        }
        self._messages.append(row)
        if seq is not None:
            _count[one.sender_type](conversation, seq, self._now)
        if one.sender_type == "contact":
            self._hear(one, conversation, row)
        message = shown(row)
        self._told.append(announcing.said(one.tenant_id, message))
        return Stored(message, position)

    def _hear(self, one: Incoming, conversation: dict[str, Any], row: dict[str, Any]) -> None:
        """What a contact's message brings about."""
        if conversation["status"] == "resolved":
            self._told.append(announcing.reopened(conversation))
            conversation["status"] = "open"
            conversation["resolved_at"] = None
        if one.session_id is not None:
            self._spoken_in.add(one.session_id)
        if conversation["current_agent_type"] != "ai" or one.message_type not in _ANSWERED:
            return
        if handoff.asks_for_person(one.content, self._keywords):
            self._wants_person.append(one.conversation_id)
            return
        self._owed.append(
            {
                "id": new_id("owed"),
                "tenant_id": one.tenant_id,
                "conversation_id": one.conversation_id,
                "message_id": row["id"],
                "session_id": one.session_id,
                "position": row["position"],
                "lease_owner": None,
                "leased_until": self._now,
                "attempts": 0,
                "created_at": self._now,
            }
        )

    def _hand_off(self, conversation_id: str) -> None:
        row = self._row(conversation_id)
        if row.current_agent_type == "ai":  # not handed off by an earlier message of this batch
            handoff.to_person(self._session, row, "keyword")
            self._session.flush()

    def _row(self, conversation_id: str) -> Conversation:
        """The conversation, which is locked, as an object of the ORM; few messages need it."""
        return self._session.get_one(Conversation, conversation_id, populate_existing=True)


def _count_contact(conversation: dict[str, Any], seq: int, _now: datetime) -> None:
    # Who writes has read what was there.
    conversation["unread_staff"] += 1
    conversation["unread_contact"] = 0
    conversation["contact_read_seq"] = seq


def _count_agent(conversation: dict[str, Any], seq: int, now: datetime) -> None:
    conversation["unread_contact"] += 1
    conversation["unread_staff"] = 0
    conversation["staff_read_seq"] = seq
    conversation["handled_by_human"] = True
    conversation["first_reply_at"] = conversation["first_reply_at"] or now


def _count_ai(conversation: dict[str, Any], _seq: int, now: datetime) -> None:
    conversation["unread_contact"] += 1
    conversation["handled_by_ai"] = True
    conversation["first_reply_at"] = conversation["first_reply_at"] or now


def _count_system(_conversation: dict[str, Any], _seq: int, _now: datetime) -> None:
    """Nobody has to read it."""


_count = {
    "contact": _count_contact,
    "agent": _count_agent,
    "ai": _count_ai,
    "system": _count_system,
}
