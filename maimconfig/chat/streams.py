"""Chat streams: how one is named, found, read and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.chat.models import ChatMessage, ChatStream
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import Invalid
from maimconfig.http.fields import REQUIRED
from maimconfig.http.pagination import Page, paginate
from maimconfig.tenants import service as tenants

DEFAULT_PLATFORM = "default"
# Characters of history that a prompt has at most: 1000 messages of 20000 would be 60 MB.
MAX_HISTORY = 500_000
PIECE = 50
# The first that is given names the stream (contract, Isolation).
NAMING = ("chat_identifier", "conversation_id", "group_id", "user_id")


@dataclass(frozen=True, slots=True)
class StreamName:
    """What names a stream of an agent.

    Attributes:
        conversation_id: as the caller knows it; it names the stream when sent back alone.
        group: whether several people talk there.
    """

    platform: str
    chat_identifier: str
    conversation_id: str
    group: bool


def name_of(given: Mapping[str, Any]) -> StreamName | None:
    """The stream that a request names; None when it names none."""
    identifier = next((given[name] for name in NAMING if given.get(name)), None)
    if identifier is None:
        return None
    return StreamName(
        platform=given.get("platform") or DEFAULT_PLATFORM,
        chat_identifier=identifier,
        conversation_id=given.get("conversation_id") or identifier,
        group=bool(given.get("group_id")),
    )


def named(given: Mapping[str, Any]) -> StreamName:
    """The stream that a request names.

    Raises:
        Invalid: it names none.
    """
    name = name_of(given)
    if name is None:
        raise Invalid(details={"chat_identifier": [REQUIRED]})
    return name


def name_or_new(given: Mapping[str, Any]) -> StreamName:
    """The stream that a request names, else a fresh one.

    A message_id alone names the stream too, or its retry would be another conversation.
    """
    fallback = given.get("message_id") or new_id("conv")
    return name_of(given) or named({**given, "chat_identifier": fallback})


def locked(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> ChatStream:
    """A stream that nobody else may touch until the end of the unit; made when there is none."""
    found: ChatStream | None = session.scalars(
        _named(tenant_id, agent_id, name).with_for_update()
    ).first()
    if found is None:
        _make(session, tenant_id, agent_id, name)
        found = session.scalars(_named(tenant_id, agent_id, name).with_for_update()).one()
    return found


def append(session: Session, stream: ChatStream, **columns: Any) -> ChatMessage:
    """Add a message at the end of a locked stream."""
    message = ChatMessage(
        tenant_id=stream.tenant_id,
        stream_id=stream.id,
        seq=stream.next_seq,
        **columns,
    )
    stream.next_seq += 1
    session.add(message)
    return message


def find(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> ChatStream | None:
    """A stream, when there is one."""
    found: ChatStream | None = session.scalars(_named(tenant_id, agent_id, name)).first()
    return found


def message_named(session: Session, stream: ChatStream, message_id: str) -> ChatMessage | None:
    """A user's message by the caller's own id of it."""
    return session.scalars(
        select(ChatMessage).where(
            ChatMessage.tenant_id == stream.tenant_id,
            ChatMessage.stream_id == stream.id,
            ChatMessage.message_id == message_id,
        )
    ).first()


def reply_to(session: Session, message: ChatMessage) -> ChatMessage | None:
    """The whole reply to a user's message, when there is one."""
    return session.scalars(
        select(ChatMessage)
        .where(
            ChatMessage.reply_to == message.id,
            ChatMessage.tenant_id == message.tenant_id,
            ChatMessage.state == "complete",
        )
        .order_by(ChatMessage.seq.desc())
    ).first()


def last(
    session: Session, stream: ChatStream, at_most: int, before: int | None = None
) -> Sequence[dict[str, str]]:
    """The last messages of a stream as a prompt has them, the oldest first.

    They are read in small pieces until there are enough, or more than any model reads.

    Args:
        before: a seq that they come before; None for the end of the stream.
    """
    found: list[Any] = []
    characters = 0
    while len(found) < at_most:
        rows = _piece(session, stream, min(PIECE, at_most - len(found)), before)
        for row in rows:
            characters += len(row.content)
            if characters > MAX_HISTORY:
                return _as_prompt(found)
            found.append(row)
        if len(rows) < PIECE:
            break
        before = rows[-1].seq
    return _as_prompt(found)


def _piece(session: Session, stream: ChatStream, number: int, before: int | None) -> Sequence[Any]:
    said = select(ChatMessage.seq, ChatMessage.role, ChatMessage.content).where(
        ChatMessage.tenant_id == stream.tenant_id, ChatMessage.stream_id == stream.id
    )
    if before is not None:
        said = said.where(ChatMessage.seq < before)
    return session.execute(said.order_by(ChatMessage.seq.desc()).limit(number)).all()


def _as_prompt(newest_first: Sequence[Any]) -> list[dict[str, str]]:
    return [{"role": row.role, "content": row.content} for row in reversed(newest_first)]


def history(
    session: Session, tenant_id: str, agent_id: str, name: StreamName, *, page: int, page_size: int
) -> Page[ChatMessage]:
    """The messages of a stream, newest first; none of a stream that isn't there."""
    stream = find(session, tenant_id, agent_id, name)
    if stream is None:
        return Page([], page, page_size, 0)
    rows = select(ChatMessage.id).where(
        ChatMessage.tenant_id == tenant_id, ChatMessage.stream_id == stream.id
    )
    return paginate(session, ChatMessage, rows, page=page, page_size=page_size, newest="seq")


def forget(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> int:
    """Delete a stream with its messages; a reply that is under way is billed, and not kept.

    Returns:
        how many messages there were.
    """
    tenants.hold(session, tenant_id)
    stream = session.scalars(_named(tenant_id, agent_id, name).with_for_update()).first()
    if stream is None:
        return 0
    counted = select(func.count()).where(
        ChatMessage.tenant_id == tenant_id, ChatMessage.stream_id == stream.id
    )
    number = session.scalar(counted) or 0
    forgotten = {
        "agent_id": agent_id,
        "platform": name.platform,
        "chat_identifier": name.chat_identifier,
        "messages": number,
    }
    audit.record(session, "chat_stream.delete", stream.id, tenant_id=tenant_id, before=forgotten)
    session.execute(delete(ChatStream).where(ChatStream.id == stream.id))
    return number


def _named(tenant_id: str, agent_id: str, name: StreamName) -> Any:
    return select(ChatStream).where(
        ChatStream.tenant_id == tenant_id,
        ChatStream.agent_id == agent_id,
        ChatStream.platform == name.platform,
        ChatStream.chat_identifier == name.chat_identifier,
    )


def _make(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> None:
    fresh = {
        "id": new_id("stream"),
        "tenant_id": tenant_id,
        "agent_id": agent_id,
        "platform": name.platform,
        "chat_identifier": name.chat_identifier,
        "next_seq": 1,
        "created_at": clock.now(),
    }
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(ChatStream).values(fresh).on_conflict_do_nothing())
    else:
        same = mysql.insert(ChatStream).values(fresh)
        session.execute(same.on_duplicate_key_update(next_seq=ChatStream.next_seq))
