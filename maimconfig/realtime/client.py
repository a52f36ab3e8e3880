"""One client: its frames are done in the order in which they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
from websockets.exceptions import ConnectionClosed

from maimconfig.conversations import service as conversations
from maimconfig.conversations.intake import Incoming
from maimconfig.db.session import Actor
from maimconfig.events import Passing
from maimconfig.http.errors import (
    AppError,
    ChatSessionNotFound,
    DatabaseUnavailable,
    Forbidden,
    InternalError,
    TokenInvalid,
)
from maimconfig.realtime import frames, looking
from maimconfig.realtime.frames import (
    Auth,
    CloseCode,
    Command,
    JoinSession,
    LeaveSession,
    Message,
    Read,
    System,
    Typing,
    encoded,
)
from maimconfig.realtime.joined import Joined, opened_now
from maimconfig.realtime.peer import Peer
from maimconfig.realtime.protocol import Answer, Close, Connection
from maimconfig.realtime.storing import Outcome
from maimconfig.sessions import callers, changes
from maimconfig.sessions.callers import Opened, Principal
from maimconfig.users import presence

if TYPE_CHECKING:
    from maimconfig.realtime.gateway import Gateway

# Nothing that the client could do otherwise.
_OURS = (DatabaseUnavailable, InternalError)

log = structlog.get_logger(__name__)


class Client:
    """One client, from the end of its handshake to its going.

    Attributes:
        peer: its socket.
        connection: what it may say.
        checked_at: when its login was last looked at.
    """

    __slots__ = (
        "_address",
        "_after_seq",
        "_gateway",
        "_joined",
        "_principal",
        "_stored",
        "_storing",
        "_token",
        "_working",
        "checked_at",
        "connection",
        "peer",
    )

    def __init__(
        self,
        gateway: Gateway,
        peer: Peer,
        connection: Connection,
        address: str,
        after_seq: int | None,
    ) -> None:
        """Take a client in.

        Args:
            address: of the client.
            after_seq: for the session that the path named.
        """
        self.peer = peer
        self.connection = connection
        self._gateway = gateway
        self._address = address
        self._after_seq = after_seq
        self._token = ""
        self._principal: Principal | None = None
        self._joined = Joined(gateway, peer, connection.connection_id)
        self._storing = 0
        self._stored: asyncio.Future[None] | None = None
        self._working = True
        self.checked_at = connection.opened_at

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is under way."""
        return not (self._working or self._storing)

    async def serve(self, token: str | None) -> None:
        """Answer until it is gone.

        Args:
            token: that the handshake showed.
        """
        try:
            self.peer.push(self.connection.greeting())
            if token:
                await self._run(Auth(token))
            self._working = False
            async for raw in self.peer:
                if not self.peer.is_open():
                    return
                self._working = True
                await self._receive(raw)
                self._working = False
        except ConnectionClosed:
            pass
        finally:
            self._working = False
            self._joined.forget_all()

    async def _receive(self, raw: str | bytes) -> None:
        outcome = self.connection.receive(raw, self._gateway.now())
        if isinstance(outcome, (Answer, Close)):
            self._give(outcome)
        else:
            await self._run(outcome)

    def _give(self, outcome: Answer | Close) -> None:
        if isinstance(outcome, Answer):
            self.peer.push(outcome.frame)
            return
        if outcome.last is not None:
            self.peer.push(outcome.last)
        self.peer.shut(outcome.code)

    async def _run(self, command: Command) -> None:
        try:
            if not isinstance(command, (Message, Typing)):
                await self._settled()
            await self._DO[type(command)](self, command)
        except AppError as error:
            self._refuse(command, error)
        except ConnectionClosed:
            raise
        except Exception:  # the edge of a frame, as a request's is the view
            log.exception("realtime.failed", frame=type(command).__name__)
            self._refuse(command, InternalError())

    def _refuse(self, command: Command, error: AppError) -> None:
        self._give(self.connection.refused(command, error, self._gateway.now()))
        if isinstance(command, JoinSession) and isinstance(error, _OURS):
            # Else it would wait for what it is never told; it comes back by after_seq.
            self.peer.shut(CloseCode.TRY_AGAIN)

    # Logging in

    async def _log_in(self, command: Auth) -> None:
        principal = await self._gateway.in_thread(self._prove, command.token, True)
        if principal != self._principal:
            self._joined.forget_all()
        self._principal, self._token = principal, command.token
        self.checked_at = self._gateway.now()
        whose = principal.session_id or principal.user_id or principal.api_key_id or ""
        user_id = principal.user_id or principal.contact_user_id
        answer = self.connection.logged_in(command, whose, user_id, principal.session_id)
        self._give(answer)
        if self.connection.session_id and not self._joined.listens_to(self.connection.session_id):
            await self._run(JoinSession(self.connection.session_id, self._after_seq))

    def _prove(self, token: str, count: bool) -> Principal:
        """Who shows a token; in another thread."""
        runtime = self._gateway.runtime
        principal = callers.principal_of(runtime, token, address=self._address, count=count)
        if principal.kind == "login" and principal.may("conversation.read"):
            runtime.write(lambda session: presence.note_seen(session, str(principal.user_id)))
        return principal

    async def check(self) -> None:
        """See whether its login and its sessions still are what they were."""
        self.checked_at = self._gateway.now()
        if self._principal is None:
            return
        token, session_ids = self._token, self._joined.names()
        try:
            seen = await self._gateway.in_thread(self._look, token, session_ids)
        except AppError as error:
            if error.status in (401, 403) and token == self._token:
                self._give(self.connection.refused(Auth(token), error, self._gateway.now()))
                self.peer.shut(CloseCode.NOT_AUTHENTICATED)
            return
        if token != self._token:  # it has logged in anew meanwhile
            return
        self._principal, opened = seen
        for session_id in self._joined.take_in(opened):
            command = LeaveSession(session_id)
            self._give(self.connection.refused(command, ChatSessionNotFound(), self._gateway.now()))

    def _look(
        self, token: str, session_ids: list[str]
    ) -> tuple[Principal, dict[str, Opened | None]]:
        """Who it is now, and what it may use; in another thread."""
        principal = self._prove(token, False)
        if not session_ids:
            return principal, {}
        return principal, self._gateway.runtime.read(
            lambda session: opened_now(session, principal, session_ids)
        )

    # Sessions

    async def _join(self, command: JoinSession) -> None:
        await self._joined.join(self._required(), command.session_id, command.after_seq, command.id)

    async def _leave(self, command: LeaveSession) -> None:
        self._joined.forget(command.session_id)
        self.peer.push(encoded(frames.SessionLeft(command.session_id), command.id))

    async def _open(self, session_id: str) -> Opened:
        return await self._joined.open(self._required(), session_id)

    async def _open_to_send(self, session_id: str) -> Opened:
        opened = await self._open(session_id)
        if not opened.may_send:
            raise Forbidden
        return opened

    # What is done in them

    async def _message(self, command: Message) -> None:
        opened = await self._open_to_send(command.session_id)
        by_contact = opened.side == "contact"
        incoming = Incoming(
            tenant_id=opened.tenant_id,
            conversation_id=opened.conversation_id,
            session_id=opened.session_id if by_contact else None,
            sender_type="contact" if by_contact else "agent",
            sender_id=opened.sender_id,
            content=command.content,
            message_type=command.message_type,
            client_id=command.client_id,
            metadata=command.metadata or {},
            reply_to=command.reply_to,
        )
        self._storing += 1
        self._gateway.storing.put(incoming, lambda outcome: self._tell_stored(command, outcome))

    def _tell_stored(self, command: Message, outcome: Outcome) -> None:
        self._storing -= 1
        if self._stored is not None and not self._storing:
            if not self._stored.done():
                self._stored.set_result(None)
            self._stored = None
        if isinstance(outcome, AppError):
            self._give(self.connection.refused(command, outcome, self._gateway.now()))
            return
        message = outcome.message
        sent = frames.MessageSent(
            message["id"], command.session_id, message["seq"], command.client_id
        )
        self.peer.push(encoded(sent, command.id))
        if not outcome.repeated:
            self._gateway.hub.stored(outcome.position, message)

    async def _settled(self) -> None:
        """Wait until the messages that it sent before are stored."""
        if self._storing:
            self._stored = self._stored or asyncio.get_running_loop().create_future()
            await self._stored

    async def _typing(self, command: Typing) -> None:
        opened = await self._open(command.session_id)
        data = {
            "side": opened.side,
            "user_id": opened.user_id,
            "is_typing": command.is_typing,
            "connection_id": self.connection.connection_id,
        }
        self._gateway.runtime.bus.publish(Passing(opened.conversation_id, "typing", data))

    async def _mark_read(self, command: Read) -> None:
        opened = await self._open(command.session_id)
        await self._gateway.write(
            lambda session: conversations.mark_read(
                session, opened.conversation_id, opened.tenant_id, opened.side, command.seq
            )
        )

    async def _hand_over(self, command: System) -> None:
        opened = await self._open_to_send(command.session_id)
        agent_type = "human" if command.action == "request_handover" else "ai"
        await self._gateway.write(
            lambda session: changes.switch_agent(session, opened, agent_type, why="requested"),
            Actor(opened.user_id, self._address),
        )
        state = await self._gateway.read(
            lambda session: looking.state_of(session, command.session_id)
        )
        self.peer.push(encoded(state.as_update(), command.id))

    _DO: dict[type[Any], Callable[[Client, Any], Awaitable[None]]] = {
        Auth: _log_in,
        Message: _message,
        Typing: _typing,
        JoinSession: _join,
        LeaveSession: _leave,
        Read: _mark_read,
        System: _hand_over,
    }

    def _required(self) -> Principal:
        if self._principal is None:
            raise TokenInvalid
        return self._principal
