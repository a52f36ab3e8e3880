"""Who listens to what: each conversation is read once, and told to all its listeners in order.

All but `hear` runs on the gateway's loop, so nothing here is locked. The database is the truth:
an event only says which conversation to look at, and every 2 s all that have listeners are looked
at, whether or not there was an event.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from maimconfig.db.session import Session
from maimconfig.events import Event, Look, Passing
from maimconfig.http.errors import DatabaseUnavailable
from maimconfig.realtime.frames import encoded, encoded_message, encoded_passing
from maimconfig.realtime.looking import PAGE, Seen, State, Wanted, look

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0  # between two looks at all conversations with listeners (contract)
GATHER_SECONDS = 0.005  # that a look waits for more events
AT_ONCE = 200  # conversations of one look
PAUSE = 0.5  # s after a look that failed

Read = Callable[[Callable[[Session], Any]], Awaitable[Any]]


@dataclass(eq=False, slots=True)
class Listener:
    """A connection's part in one session.

    Attributes:
        connection_id: whose own typing it isn't told.
        staff: whether private notes are for it.
        send: gives it a frame; must be quick and never wait.
        position: of the last message that it was given.
        live: False while it still gets what it missed.
    """

    connection_id: str
    session_id: str
    conversation_id: str
    staff: bool
    send: Callable[[bytes], None]
    position: int
    live: bool = False

    def give(self, position: int, is_private: bool, frame: bytes) -> None:
        """Give it a message, unless it has it or mayn't have it."""
        if position > self.position:
            self.position = position
            if self.staff or not is_private:
                self.send(frame)


@dataclass(eq=False, slots=True)
class Topic:
    """A conversation with listeners.

    Attributes:
        position: of the last message that was told.
        states: what listeners were last told, by session.
    """

    conversation_id: str
    position: int
    listeners: list[Listener] = field(default_factory=list)
    states: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def sessions(self) -> list[str]:
        """The sessions that are listened to."""
        return list(dict.fromkeys(listener.session_id for listener in self.listeners))

    def tell(self, position: int, message: dict[str, Any]) -> None:
        """Tell a message, unless it was told."""
        if position <= self.position:
            return
        self.position = position
        frame = encoded_message(message)
        for listener in self.listeners:
            if listener.live:
                listener.give(position, message["is_private"], frame)

    def tell_state(self, state: State) -> None:
        """Tell how a session stands, when that has changed."""
        if self.states.get(state.session_id) == state.shown:
            return
        self.states[state.session_id] = state.shown
        frame = encoded(state.as_update())
        for listener in self.listeners:
            if listener.session_id == state.session_id:
                listener.send(frame)

    def tell_passing(self, event: Passing) -> None:
        """Tell what isn't kept, to all but the connection that it came from."""
        data = dict(event.data)
        origin = data.pop("connection_id", None)
        frames: dict[str, bytes] = {}
        for listener in self.listeners:
            if listener.connection_id == origin or (event.staff_only and not listener.staff):
                continue
            frame = frames.get(listener.session_id)
            if frame is None:
                frame = encoded_passing(event.kind, {**data, "session_id": listener.session_id})
                frames[listener.session_id] = frame
            listener.send(frame)


class Hub:
    """The conversations that somebody listens to, in one process."""

    def __init__(self, read: Read) -> None:
        """Make it on the loop that it is for.

        Args:
            read: runs a unit of work that reads, in another thread.
        """
        self._read = read
        self._loop = asyncio.get_running_loop()
        self._topics: dict[str, Topic] = {}
        self._events: deque[Event] = deque()
        self._woken = False
        self._dirty: dict[str, None] = {}
        self._due: dict[str, None] = {}
        self._something = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Take an event of the bus; from any thread."""
        self._events.append(event)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._take_events)

    def add(self, listener: Listener, state: State) -> Topic:
        """Let somebody listen, who isn't live yet.

        Args:
            state: as it was read for them, and as they were told.
        """
        topic = self._topics.get(listener.conversation_id)
        if topic is None:
            topic = Topic(listener.conversation_id, state.next_position - 1)
            self._topics[listener.conversation_id] = topic
            # What came between the read and now was told to nobody here.
            self._mark(listener.conversation_id)
        topic.listeners.append(listener)
        topic.states.setdefault(state.session_id, state.shown)
        return topic

    def remove(self, listener: Listener) -> None:
        """Let somebody listen no more."""
        topic = self._topics.get(listener.conversation_id)
        if topic is None or listener not in topic.listeners:
            return
        topic.listeners.remove(listener)
        if not topic.listeners:
            del self._topics[listener.conversation_id]
        elif all(other.session_id != listener.session_id for other in topic.listeners):
            topic.states.pop(listener.session_id, None)

    def stored(self, position: int, message: dict[str, Any]) -> None:
        """Tell a message that this process has stored, without reading it again where it is the
        next one.
        """
        topic = self._topics.get(message["conversation_id"])
        if topic is None:
            return
        if position == topic.position + 1:
            topic.tell(position, message)
        elif position > topic.position:
            self._mark(topic.conversation_id)

    async def run(self) -> None:
        """Look until cancelled."""
        everything = asyncio.create_task(self._remind())
        try:
            while True:
                await self._something.wait()
                await asyncio.sleep(GATHER_SECONDS)
                await self._look_safely()
        finally:
            everything.cancel()

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._due.update(dict.fromkeys(self._topics))
            if self._due:
                self._something.set()

    def _take_events(self) -> None:
        self._woken = False
        # One by one: an event that another thread adds meanwhile must not be lost.
        while self._events:
            event = self._events.popleft()
            topic = self._topics.get(event.conversation_id)
            if topic is None:
                continue
            if isinstance(event, Look):
                self._mark(event.conversation_id)
            else:
                topic.tell_passing(event)

    def _mark(self, conversation_id: str) -> None:
        self._dirty[conversation_id] = None
        self._something.set()

    async def _look_safely(self) -> None:
        chosen = self._chosen()
        try:
            for seen in await self._read(lambda session: look(session, chosen)) if chosen else ():
                self._tell(seen)
        except DatabaseUnavailable as error:
            log.info("hub.not_looked", reason=str(error))
            await asyncio.sleep(PAUSE)  # all are looked at again within 2 s
        except Exception:  # the edge of this task: whatever happens, the next look comes
            log.exception("hub.failed")
            await asyncio.sleep(PAUSE)

    def _chosen(self) -> Sequence[Wanted]:
        """Some of what is to be looked at; what an event spoke of comes first."""
        names = list(itertools.islice(itertools.chain(self._dirty, self._due), AT_ONCE))
        for name in names:
            self._dirty.pop(name, None)
            self._due.pop(name, None)
        if not (self._dirty or self._due):
            self._something.clear()
        topics = filter(None, map(self._topics.get, names))
        return [Wanted(one.conversation_id, one.sessions(), one.position) for one in topics]

    def _tell(self, seen: Seen) -> None:
        topic = self._topics.get(seen.conversation_id)
        if topic is None:
            return
        for position, message in seen.messages:
            topic.tell(position, message)
        for state in seen.states:
            topic.tell_state(state)
        if len(seen.messages) == PAGE:
            self._mark(topic.conversation_id)
        elif seen.states:
            # Also when the last ones were deleted meanwhile and will never be seen.
            topic.position = max(topic.position, seen.states[0].next_position - 1)
