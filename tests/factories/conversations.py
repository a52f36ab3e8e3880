"""Conversations and what belongs to them, made by the services themselves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from maimconfig.agents import service as agents
from maimconfig.conversations import intake
from maimconfig.conversations.intake import Incoming, Stored
from maimconfig.conversations.models import Conversation
from maimconfig.http.errors import AppError
from maimconfig.runtime import Runtime
from maimconfig.sessions import service as sessions
from maimconfig.sessions.models import ChatSession
from maimconfig.sessions.service import Wanted
from maimconfig.tenants import service as tenants
from maimconfig.users.models import User

_numbers = itertools.count(1)


@dataclass
class Talk:
    """A session with its conversation, for those who speak in it."""

    runtime: Runtime
    chat: ChatSession

    @property
    def id(self) -> str:
        """The conversation's id."""
        return self.chat.conversation_id

    def incoming(self, content: str = "你好", **given: Any) -> Incoming:
        """A message of the contact, unless another sender is given."""
        by = given.get("sender_type", "contact")
        senders = {"contact": self.chat.contact_id, "ai": self.chat.agent_id}
        plain = {
            "tenant_id": self.chat.tenant_id,
            "conversation_id": self.id,
            "session_id": self.chat.id if by == "contact" else None,
            "sender_type": "contact",
            "sender_id": senders.get(by),
        }
        return Incoming(content=content, **{**plain, **given})

    def take(self, *incoming: Incoming) -> list[Stored | AppError]:
        """What becomes of messages that are stored at once."""
        return self.runtime.write(lambda session: intake.store_many(session, incoming))

    def say(self, content: str = "你好", **given: Any) -> dict[str, Any]:
        """Store one message; as it is shown."""
        (stored,) = self.take(self.incoming(content, **given))
        if isinstance(stored, AppError):
            raise stored
        return stored.message

    def now(self) -> Conversation:
        """The conversation as it is now."""
        return self.runtime.read(lambda session: session.get_one(Conversation, self.id))

    def rows(self, model: Any) -> list[Any]:
        """The rows of a table that belong to the conversation."""
        of = model.conversation_id == self.id
        return self.runtime.read(lambda session: session.query(model).filter(of).all())


def agent(runtime: Runtime, tenant_id: str | None = None, **given: Any) -> tuple[str, str]:
    """An agent's tenant and id, of a tenant of its own unless one is given."""

    def make(session: Any) -> tuple[str, str]:
        number = next(_numbers)
        owner = (
            tenant_id
            or tenants.create(
                session, tenant_name=f"a tenant {number}", tenant_type="enterprise"
            ).id
        )
        made = agents.create(session, tenant_id=owner, name=f"an agent {number}", **given)
        return made.tenant_id, made.id

    return runtime.write(make)


def talk(runtime: Runtime, of: tuple[str, str] | None = None, **given: Any) -> Talk:
    """A session of a contact of its own with an agent of its own, unless others are given."""
    tenant_id, agent_id = of or agent(runtime)
    user_id = given.pop("user_id", f"visitor-{next(_numbers)}")
    wanted = Wanted(tenant_id, agent_id, user_id, guest=given.pop("guest", False), **given)
    return Talk(runtime, runtime.write(lambda session: sessions.begin(session, wanted)))


def talks(runtime: Runtime, of: tuple[str, str], number: int) -> list[Talk]:
    """Sessions of as many contacts with one agent, made in one unit."""
    users = [f"visitor-{next(_numbers)}" for _ in range(number)]
    wanted = [Wanted(*of, user_id, guest=False) for user_id in users]
    made = runtime.write(lambda session: [sessions.begin(session, one) for one in wanted])
    return [Talk(runtime, chat) for chat in made]


def staff(runtime: Runtime, role: str = "agent", **given: Any) -> str:
    """The id of a user who answers contacts; of all tenants unless told otherwise."""

    def make(session: Any) -> str:
        number = next(_numbers)
        user = User(
            id=f"user_staff{number}x",
            username=f"staff {number}",
            password_hash="none",
            role=role,
            **{"status": "active", **given},
        )
        session.add(user)
        return user.id

    return runtime.write(make)
