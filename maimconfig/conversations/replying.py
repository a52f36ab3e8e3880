"""One reply of the AI: asked for, told as it comes, and stored only while it is wanted."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from maimconfig import clock
from maimconfig.chat import service as chat
from maimconfig.chat.prompt import Message
from maimconfig.chat.running import RunningReply
from maimconfig.chat.wanted import Answer, Caller, ChatAgent, Ended
from maimconfig.conversations import handoff, intake, owed, service
from maimconfig.conversations.models import Conversation, ConversationMessage
from maimconfig.conversations.owed import Owed
from maimconfig.db.session import Session
from maimconfig.events import Passing
from maimconfig.http.errors import (
    AgentNotActive,
    ConversationNotFound,
    DatabaseUnavailable,
    MessageDropped,
    NoProviderAnswered,
    NotFound,
    QuotaExceeded,
    RateLimited,
    ReplyTooSlow,
    TenantNotActive,
)

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

# A reply that goes wrong in a way nobody foresaw is tried again, and at last left to a person.
MAX_ATTEMPTS = 3
REST = timedelta(seconds=5)

_ROLES = {"contact": "user", "ai": "assistant", "agent": "assistant"}


class Replying:
    """Makes one reply; `make` is its whole life.

    Attributes:
        reply: which one.
        given_up: set by others when it is wanted no more, or this process stops.
    """

    def __init__(self, runtime: Runtime, owner: str, reply: Owed) -> None:
        self.reply = reply
        self.given_up = threading.Event()
        self._runtime = runtime
        self._owner = owner
        self._told = False
        self._stored = False

    def make(self) -> None:
        """Have the AI answer, and do what its failure asks for; the outermost edge of a thread."""
        try:
            self._answer()
        except MessageDropped:
            self._runtime.write(self._forget)
        except QuotaExceeded:
            self._hand_off("quota_exceeded")
        except (TenantNotActive, AgentNotActive):
            self._hand_off("not_active")
        except RateLimited as error:
            self._again_after(timedelta(seconds=int(error.headers.get("Retry-After", "1"))))
        except (NotFound, NoProviderAnswered, ReplyTooSlow):
            pass  # gone with its owner; or handed off where it was settled
        except DatabaseUnavailable as error:
            log.warning("reply.postponed", owed_id=self.reply.id, reason=str(error))
        except Exception:
            log.exception("reply.failed", owed_id=self.reply.id)
            self._fail()

    def _answer(self) -> None:
        agent_id = self._runtime.read(self._agent_that_answers)
        if agent_id is None:
            self._runtime.write(self._forget)
            return
        running = chat.complete(
            self._runtime,
            Caller(self.reply.tenant_id, agent_id),
            self._recall,
            streamed=True,
            keep=self._keep,
        )
        try:
            self._read(running)
        finally:
            running.close()
            if self._told and not self._stored:
                self._tell(running, "", is_complete=True, discarded=True)

    def _read(self, running: RunningReply) -> None:
        while not self.given_up.is_set():
            event = running.next(0.5)
            if isinstance(event, Answer):
                return
            if event is not None:
                self._told = True
                self._tell(running, event.content, is_complete=False)

    def _tell(self, running: RunningReply, delta: str, **more: Any) -> None:
        data = {"message_id": running.admitted.reply_id, "delta": delta, **more}
        self._runtime.bus.publish(Passing(self.reply.conversation_id, "ai_stream", data))

    def _agent_that_answers(self, session: Session) -> str | None:
        """Who answers; None when it isn't the AI any more."""
        conversation = session.get(Conversation, self.reply.conversation_id)
        if conversation is None or conversation.current_agent_type != "ai":
            return None
        return conversation.agent_id

    def _recall(self, session: Session, agent: ChatAgent) -> Sequence[Message]:
        """What was said, as a prompt has it, with the message that is answered as the last.

        What the contact said after it has replies of its own.
        """
        message = ConversationMessage
        said = (
            select(message.sender_type, message.content, message.position)
            .where(
                message.conversation_id == self.reply.conversation_id,
                message.seq.is_not(None),
                message.sender_type.in_(_ROLES),
            )
            .order_by(message.position.desc())
        )
        asked = session.execute(said.where(message.position == self.reply.position)).one()
        from_contact_later = (message.sender_type == "contact") & (
            message.position >= self.reply.position
        )
        past = session.execute(said.where(~from_contact_later).limit(chat.context_size(agent)))
        return [
            {"role": _ROLES[row.sender_type], "content": row.content}
            for row in (*reversed(past.all()), asked)
        ]

    def _keep(self, session: Session, reply_id: str, ended: Ended) -> None:
        """Store what was said, in the transaction that bills it, if it is wanted still."""
        self._stored = False
        if ended.status == "aborted":  # by this process: it is owed still, or a person has taken it
            return
        conversation = self._still_wanted(session)
        if conversation is None:
            return
        if ended.text:
            self._store(session, conversation, reply_id, ended)
        if ended.status == "failed":
            session.refresh(conversation)
            handoff.to_person(session, conversation, "provider_failed")

    def _store(
        self, session: Session, conversation: Conversation, reply_id: str, ended: Ended
    ) -> None:
        told = {"message_id": reply_id, "delta": "", "is_complete": True}
        event = Passing(conversation.id, "ai_stream", told)
        # Before listeners look at what is stored.
        session.when_committed(lambda: self._runtime.bus.publish(event))
        intake.store(
            session,
            intake.Incoming(
                tenant_id=conversation.tenant_id,
                conversation_id=conversation.id,
                session_id=self.reply.session_id,
                sender_type="ai",
                sender_id=conversation.agent_id,
                content=ended.text,
                reply_to=self.reply.message_id,
                state="complete" if ended.status == "completed" else "partial",
                id=reply_id,
            ),
        )
        self._stored = True

    def _still_wanted(self, session: Session) -> Conversation | None:
        """The conversation, locked, when the AI has it and owes this reply, which it did by now."""
        try:
            # Locked first, as those do who hand off and then forget what is owed.
            conversation = service.locked(session, self.reply.conversation_id)
        except ConversationNotFound:
            return None
        if not owed.take(session, self._owner, self.reply.id):
            return None
        return conversation if conversation.current_agent_type == "ai" else None

    def _hand_off(self, reason: str) -> None:
        def hand_off(session: Session) -> None:
            conversation = self._still_wanted(session)
            if conversation is not None:
                handoff.to_person(session, conversation, reason)

        self._runtime.write(hand_off)

    def _fail(self) -> None:
        if self.reply.attempts >= MAX_ATTEMPTS:
            self._hand_off("provider_failed")
        else:
            self._again_after(REST)

    def _again_after(self, rest: timedelta) -> None:
        until = clock.now() + rest
        self._runtime.write(
            lambda session: owed.give_back(session, self._owner, [self.reply.id], until)
        )

    def _forget(self, session: Session) -> None:
        owed.take(session, self._owner, self.reply.id)
