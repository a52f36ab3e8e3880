"""What the hub reads of the database: how sessions stand, and what was said since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select

from maimconfig.conversations import messages
from maimconfig.conversations.messages import Told
from maimconfig.conversations.models import Conversation
from maimconfig.db.session import Session
from maimconfig.http.errors import ChatSessionNotFound
from maimconfig.realtime.frames import SessionJoined, StatusUpdate
from maimconfig.sessions import callers
from maimconfig.sessions.callers import Opened, Principal
from maimconfig.sessions.models import ChatSession

PAGE = 100  # messages that are read at once


class State(NamedTuple):
    """How a session and its conversation stand."""

    session_id: str
    conversation_id: str
    next_seq: int
    next_position: int
    agent_type: str
    assignee: str | None
    status: str
    session_status: str

    @property
    def shown(self) -> tuple[str, str | None, str, str]:
        """What listeners are told of, when it changes."""
        return self.agent_type, self.assignee, self.status, self.session_status

    def as_update(self) -> StatusUpdate:
        """The frame that tells it."""
        return StatusUpdate(self.session_id, *self.shown)

    def as_joined(self) -> SessionJoined:
        """The frame that answers a join."""
        return SessionJoined(self.session_id, self.conversation_id, self.next_seq - 1, *self.shown)


_STATES = select(
    ChatSession.id,
    ChatSession.conversation_id,
    Conversation.next_seq,
    Conversation.next_position,
    Conversation.current_agent_type,
    Conversation.assignee_id,
    Conversation.status,
    ChatSession.status,
).join(Conversation, Conversation.id == ChatSession.conversation_id)


@dataclass(frozen=True)
class Wanted:
    """What the hub wants to know of a conversation.

    Attributes:
        sessions: that are listened to.
        position: up to which all was told.
    """

    conversation_id: str
    sessions: Sequence[str]
    position: int


@dataclass(frozen=True)
class Seen:
    """What there is.

    Attributes:
        states: of the sessions that still exist.
        messages: after the position, in order; at most PAGE.
    """

    conversation_id: str
    states: Sequence[State]
    messages: Sequence[Told]


def look(session: Session, wanted: Sequence[Wanted]) -> list[Seen]:
    """What there is of conversations: states in one query, messages where there are new ones."""
    ids = [session_id for one in wanted for session_id in one.sessions]
    states: dict[str, list[State]] = {}
    for row in session.execute(_STATES.where(ChatSession.id.in_(ids))):
        state = State(*row)
        states.setdefault(state.conversation_id, []).append(state)
    return [_seen(session, one, states.get(one.conversation_id, [])) for one in wanted]


def _seen(session: Session, one: Wanted, states: Sequence[State]) -> Seen:
    news: Sequence[Told] = ()
    if any(state.next_position - 1 > one.position for state in states):
        news = messages.after(session, one.conversation_id, one.position, private=True, limit=PAGE)
    return Seen(one.conversation_id, states, news)


class Start(NamedTuple):
    """Where somebody who joins begins.

    Attributes:
        opened: the session, as the caller may use it.
        state: of it now.
        position: of the last message that the caller has.
    """

    opened: Opened
    state: State
    position: int


def start(session: Session, principal: Principal, session_id: str, after_seq: int | None) -> Start:
    """Open a session for somebody who joins.

    Raises:
        ChatSessionNotFound: there is none, or it isn't this caller's.
    """
    opened = callers.opened(session, principal, session_id)
    state = state_of(session, session_id)
    # Notes have no seq: staff who have the last message may have missed notes after it.
    has_all = opened.side == "contact" and after_seq is not None and after_seq >= state.next_seq - 1
    if after_seq is None or has_all:
        return Start(opened, state, state.next_position - 1)
    return Start(opened, state, messages.position_of_seq(session, state.conversation_id, after_seq))


def state_of(session: Session, session_id: str) -> State:
    """How a session stands.

    Raises:
        ChatSessionNotFound: there is none any more.
    """
    row = session.execute(_STATES.where(ChatSession.id == session_id)).first()
    if row is None:
        raise ChatSessionNotFound
    return State(*row)
