"""The sessions that one client uses and listens to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maimconfig.conversations.messages import after
from maimconfig.db.session import Session
from maimconfig.http.errors import ChatSessionNotFound, TooManySessions
from maimconfig.realtime import looking
from maimconfig.realtime.frames import FrameId, encoded, encoded_message
from maimconfig.realtime.hub import Listener
from maimconfig.realtime.looking import PAGE, Start, State
from maimconfig.realtime.peer import Peer
from maimconfig.sessions import callers
from maimconfig.sessions.callers import Opened, Principal

if TYPE_CHECKING:
    from maimconfig.realtime.gateway import Gateway

MOST = 200  # sessions that a connection may listen to


class Joined:
    """What a client may use is remembered, so that each message needn't ask again."""

    __slots__ = ("_connection_id", "_gateway", "_listeners", "_opened", "_peer")

    def __init__(self, gateway: Gateway, peer: Peer, connection_id: str) -> None:
        """Begin with none."""
        self._gateway = gateway
        self._peer = peer
        self._connection_id = connection_id
        self._listeners: dict[str, Listener] = {}
        self._opened: dict[str, Opened] = {}

    def names(self) -> list[str]:
        """The sessions that it has joined."""
        return list(self._listeners)

    def listens_to(self, session_id: str) -> bool:
        """Whether it has joined a session."""
        return session_id in self._listeners

    async def open(self, principal: Principal, session_id: str) -> Opened:
        """A session that the client wants to use.

        Raises:
            ChatSessionNotFound: there is none, or it isn't this caller's.
        """
        found = self._opened.get(session_id)
        if found is None:
            found = await self._gateway.read(
                lambda session: callers.opened(session, principal, session_id)
            )
            self._remember(found)
        return found

    async def join(
        self, principal: Principal, session_id: str, after_seq: int | None, frame_id: FrameId
    ) -> None:
        """Listen to a session, again perhaps: answer, give what was missed, go on live.

        Raises:
            ChatSessionNotFound: there is none, or it isn't this caller's.
            TooManySessions: the client listens to too many.
        """
        if len(self._listeners) >= MOST and session_id not in self._listeners:
            raise TooManySessions
        start: Start = await self._gateway.read(
            lambda session: looking.start(session, principal, session_id, after_seq)
        )
        self.forget(session_id)
        self._remember(start.opened)
        listener = Listener(
            self._connection_id,
            session_id,
            start.opened.conversation_id,
            start.opened.side == "staff",
            self._peer.push,
            start.position,
        )
        self._listeners[session_id] = listener
        self._peer.push(encoded(start.state.as_joined(), frame_id))
        try:
            await self._catch_up(listener, start.state)
        except BaseException:  # half joined it would be told nothing
            self.forget(session_id)
            raise

    def take_in(self, now: Mapping[str, Opened | None]) -> list[str]:
        """Use what it has joined as it is now; what is only sent to is asked for again.

        Args:
            now: of the sessions that it had joined; None of one that it may use no more.

        Returns:
            the sessions that it has lost.
        """
        for session_id in self._opened.keys() - self._listeners.keys():
            del self._opened[session_id]
        lost = []
        for session_id in now.keys() & self._listeners.keys():
            opened = now[session_id]
            if opened is None:
                self.forget(session_id)
                lost.append(session_id)
            else:
                self._listeners[session_id].staff = opened.side == "staff"
                self._opened[session_id] = opened
        return lost

    def forget(self, session_id: str) -> None:
        """Use a session no more."""
        self._opened.pop(session_id, None)
        listener = self._listeners.pop(session_id, None)
        if listener is not None:
            self._gateway.hub.remove(listener)

    def forget_all(self) -> None:
        """Use none any more."""
        for session_id in list(self._opened):
            self.forget(session_id)

    def _remember(self, opened: Opened) -> None:
        self._opened[opened.session_id] = opened
        if len(self._opened) > 2 * MOST:
            only_used = (one for one in self._opened if one not in self._listeners)
            self.forget(next(only_used))

    async def _catch_up(self, listener: Listener, state: State) -> None:
        topic = self._gateway.hub.add(listener, state)
        told = topic.position
        behind = listener.position < told
        while behind and self._peer.is_open():
            # Whatever the topic has told by now was stored before the read that comes, so a short
            # page has all of it; and what is told during the read makes one more read.
            told = topic.position
            short = await self._give_page(listener)
            behind = not short or topic.position != told
        listener.position = max(listener.position, told)
        listener.live = True

    async def _give_page(self, listener: Listener) -> bool:
        """Give some of what was missed, as fast as it is read; whether it was the last of it."""
        page = await self._gateway.read(
            lambda session: after(
                session,
                listener.conversation_id,
                listener.position,
                private=listener.staff,
                limit=PAGE,
            )
        )
        for position, message in page:
            await self._peer.taken()
            listener.give(position, message["is_private"], encoded_message(message))
        return len(page) < PAGE


def opened_now(
    session: Session, principal: Principal, session_ids: Sequence[str]
) -> dict[str, Opened | None]:
    """Sessions as somebody may use them; None of one that it mayn't."""
    found: dict[str, Opened | None] = {}
    for session_id in session_ids:
        try:
            found[session_id] = callers.opened(session, principal, session_id)
        except ChatSessionNotFound:
            found[session_id] = None
    return found
