"""What staff do with conversations: find, take over, assign, release, answer, sort."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from maimconfig.audit import service as audit
from maimconfig.contacts.models import Contact
from maimconfig.conversations import handoff, intake, service
from maimconfig.conversations.models import Conversation
from maimconfig.db import revisions
from maimconfig.db.session import Session
from maimconfig.http.errors import RoleForbidden
from maimconfig.http.pagination import cut_out
from maimconfig.users import presence
from maimconfig.users.login import Login
from maimconfig.users.models import User

MANAGE = "conversation.manage"
NOBODY, ME = "none", "me"
MOST_CONTACTS = 500  # that a search looks conversations up by


@dataclass(frozen=True, slots=True)
class Found:
    """A slice of a list.

    Attributes:
        items: as they are shown.
        total: how many there are in all.
    """

    items: Sequence[dict[str, Any]]
    total: int


def find(
    session: Session,
    login: Login,
    *,
    limit: int,
    offset: int,
    q: str | None = None,
    assignee_id: str | None = None,
    agent_type: str | None = None,
    **equal: str | None,
) -> Found:
    """Conversations of the tenants that a user serves, those with the latest activity first.

    Args:
        q: a part of the contact's name, email, phone or external id, or a conversation's id.
        assignee_id: a user's; `me`, or `none` for those that nobody has.
        equal: status, priority, tenant_id, agent_id, contact_id.
    """
    wanted = [presence.visible(login, Conversation.tenant_id)]
    wanted += [
        getattr(Conversation, name) == value for name, value in equal.items() if value is not None
    ]
    if agent_type is not None:
        wanted.append(Conversation.current_agent_type == agent_type)
    if assignee_id is not None:
        wanted.append(_had_by(login, assignee_id))
    if q:
        wanted.append(_mentions(session, q))
    total = session.scalar(select(func.count()).select_from(Conversation).where(*wanted)) or 0
    latest = (Conversation.last_activity_at, Conversation.id)
    # The index alone finds the ids of a far page; only its own rows are then read.
    matching = select(Conversation.id).where(*wanted)
    ids = cut_out(matching, latest, limit=limit, offset=offset, total=total).subquery()
    rows = session.execute(
        select(Conversation, Contact, User)
        .join(ids, ids.c.id == Conversation.id)
        .join(Contact, Contact.id == Conversation.contact_id)
        .outerjoin(User, User.id == Conversation.assignee_id)
        .order_by(*(column.desc() for column in latest))
    )
    return Found([service.shown_with(*row) for row in rows], total)


def get(session: Session, login: Login, conversation_id: str) -> Conversation:
    """A conversation that a user sees.

    Raises:
        ConversationNotFound: there is none, or it is of a tenant that the user doesn't serve.
    """
    return service.get(session, conversation_id, presence.tenants_of(session, login.user_id))


def take_over(session: Session, login: Login, conversation_id: str) -> Conversation:
    """Give a conversation to the user who asks; of two at once one wins.

    Raises:
        ConversationNotFound: see `get`.
        ConversationTaken: somebody else has it.
        TransitionForbidden: it is closed.
    """
    return _change(
        session, login, conversation_id, "takeover",
        lambda found: handoff.take_over(session, found, login.user_id), anybodys=True,
    )  # fmt: skip


def assign(
    session: Session, login: Login, conversation_id: str, user_id: str | None
) -> Conversation:
    """Give a conversation to a user; to another than oneself who may manage may.

    Args:
        user_id: None has a person's conversation wait for the next person.

    Raises:
        ConversationNotFound: see `get`.
        RoleForbidden: it takes more than the user's role.
        UserNotFound: the other isn't one who may answer in this tenant.
        ConversationTaken: somebody else has it, and the user may not manage.
        TransitionForbidden: it is closed.
    """
    if user_id is not None and not login.may(MANAGE):
        if user_id != login.user_id:
            raise RoleForbidden(MANAGE)
        return take_over(session, login, conversation_id)
    return _change(
        session, login, conversation_id, "assign",
        lambda found: handoff.assign(session, found, user_id),
    )  # fmt: skip


def release(session: Session, login: Login, conversation_id: str) -> Conversation:
    """Give a conversation back to the AI.

    Raises:
        ConversationNotFound: see `get`.
        RoleForbidden: it is another's, and the user may not manage.
        TransitionForbidden: it is closed.
    """
    return _change(
        session, login, conversation_id, "release", lambda found: handoff.release(session, found)
    )


def switch(
    session: Session, login: Login, conversation_id: str, agent_type: str, reason: str | None
) -> Conversation:
    """Have the AI or a person answer.

    Raises:
        ConversationNotFound, RoleForbidden, TransitionForbidden: see `release`.
    """
    return _change(
        session, login, conversation_id, "switch",
        lambda found: handoff.switch(session, found, agent_type, reason),
    )  # fmt: skip


def set_status(
    session: Session, login: Login, conversation_id: str, status: str,
    expected: Collection[int] | None = None,
) -> Conversation:  # fmt: skip
    """Change the status of a conversation.

    Raises:
        ConversationNotFound, RoleForbidden: see `release`.
        TransitionForbidden: it doesn't change so.
        PreconditionFailed: it isn't of an expected revision.
    """
    return _change(
        session, login, conversation_id, "status",
        lambda found: service.set_status(session, found, status), expected,
    )  # fmt: skip


def sort(
    session: Session, login: Login, conversation_id: str, changes: Mapping[str, Any],
    expected: Collection[int] | None = None,
) -> Conversation:  # fmt: skip
    """Change the priority or the tags of a conversation.

    Raises:
        ConversationNotFound, RoleForbidden: see `release`.
        PreconditionFailed: it isn't of an expected revision.
    """

    def change(found: Conversation) -> None:
        if any(getattr(found, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(found, name, value)
            service.touched(session, found)

    return _change(session, login, conversation_id, "sort", change, expected)


def say(
    session: Session, login: Login, conversation_id: str, content: str, *, is_private: bool,
    **given: Any,
) -> dict[str, Any]:  # fmt: skip
    """Answer in a conversation, which the user then has, or note something in private.

    Args:
        given: message_type, metadata, client_id; None counts as absent.

    Raises:
        ConversationNotFound: see `get`.
        ConversationTaken: somebody else has it.
        TransitionForbidden: it is closed.
    """
    found = get(session, login, conversation_id)
    stored = intake.store(
        session,
        intake.Incoming(
            tenant_id=found.tenant_id,
            conversation_id=found.id,
            session_id=None,
            sender_type="agent",
            sender_id=login.user_id,
            content=content,
            is_private=is_private,
            **{name: value for name, value in given.items() if value is not None},
        ),
    )
    presence.note_seen(session, login.user_id)
    return stored.message


def require_ones_own(conversation: Conversation, user_id: str, may_manage: bool) -> None:
    """Let nobody change what another person has, who may not manage; the conversation is locked.

    Raises:
        RoleForbidden: it is another's.
    """
    if not (may_manage or conversation.assignee_id in (None, user_id)):
        raise RoleForbidden(MANAGE)


@contextmanager
def audited(session: Session, conversation: Conversation, verb: str) -> Iterator[None]:
    """Keep in the audit log what a block changes in a conversation, if it does.

    Args:
        verb: what is done.
    """
    before = {name: getattr(conversation, name) for name in _AUDITED}
    yield
    session.flush()
    after = {name: getattr(conversation, name) for name in _AUDITED}
    if after != before:
        audit.record(
            session, f"conversation.{verb}", conversation.id, tenant_id=conversation.tenant_id,
            before=before, after=after,
        )  # fmt: skip


def _had_by(login: Login, assignee_id: str) -> ColumnElement[bool]:
    if assignee_id == NOBODY:
        return Conversation.assignee_id.is_(None)
    return Conversation.assignee_id == (login.user_id if assignee_id == ME else assignee_id)


def _mentions(session: Session, q: str) -> ColumnElement[bool]:
    matching = select(Contact.id).where(func.instr(Contact.folded, q.casefold()) > 0)
    # Of a few an index finds the conversations, which the database can't know beforehand.
    few = session.scalars(matching.limit(MOST_CONTACTS + 1)).all()
    contacts = few if len(few) <= MOST_CONTACTS else matching
    return Conversation.contact_id.in_(contacts) | (Conversation.id == q)


_AUDITED = ("status", "priority", "current_agent_type", "assignee_id", "tags")


def _change(
    session: Session, login: Login, conversation_id: str, verb: str,
    change: Callable[[Conversation], None], expected: Collection[int] | None = None, *,
    anybodys: bool = False,
) -> Conversation:  # fmt: skip
    tenant_ids = presence.tenants_of(session, login.user_id)
    found = service.locked(session, conversation_id, tenant_ids)
    if not anybodys:
        require_ones_own(found, login.user_id, login.may(MANAGE))
    revisions.require(found.revision, expected)
    with audited(session, found, verb):
        change(found)
    presence.note_seen(session, login.user_id)
    return found
