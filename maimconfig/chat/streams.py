"""Chat streams: how one is named, found, read and forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Integer, bindparam, delete, func, select, update
from sqlalchemy.dialects import mysql, sqlite

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.chat.models import ChatMessage, ChatStream
from maimconfig.db.ids import new_id
from maimconfig.db.look_up import LookUp
from maimconfig.db.session import Session
from maimconfig.db.statements import Addition, Statement
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


@dataclass(slots=True)
class Stream:
    """A stream as it is stored.

    Attributes:
        next_seq: of the next message.
    """

    id: str
    tenant_id: str
    next_seq: int


class StoredMessage(NamedTuple):
    """A message of a stream, as far as its reply depends on it."""

    id: str
    tenant_id: str
    stream_id: str
    seq: int
    content: str


def locked(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> Stream:
    """A stream that nobody else may touch until the end of the unit; made when there is none."""
    found = _LOCKED.first(session, **_naming(tenant_id, agent_id, name))
    if found is None:
        _make(session, tenant_id, agent_id, name)
        found = _LOCKED.all(session, **_naming(tenant_id, agent_id, name))[0]
    return found


def locked_by_id(session: Session, stream_id: str) -> Stream | None:
    """A stream that nobody else may touch until the end of the unit, when it is still there."""
    return _LOCKED_BY_ID.first(session, stream_id=stream_id)


def append(session: Session, stream: Stream, **columns: Any) -> StoredMessage:
    """Add a message at the end of a locked stream."""
    seq, stream.next_seq = stream.next_seq, stream.next_seq + 1
    _MESSAGE.run(session, tenant_id=stream.tenant_id, stream_id=stream.id, seq=seq, **columns)
    _COUNT_ON.run(session, stream_id=stream.id, following=stream.next_seq)
    return StoredMessage(columns["id"], stream.tenant_id, stream.id, seq, columns["content"])


def mark(session: Session, message_id: str, state: str) -> bool:
    """Set the state of a stored message; False when it is gone."""
    return _MARK.run(session, id_of_message=message_id, new_state=state) == 1


def find(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> Stream | None:
    """A stream, when there is one."""
    return session.runtime.database.find(_FOUND, **_naming(tenant_id, agent_id, name))


def message_named(session: Session, stream: Stream, message_id: str) -> StoredMessage | None:
    """A user's message by the caller's own id of it."""
    return _MESSAGE_NAMED.first(
        session, tenant_id=stream.tenant_id, stream_id=stream.id, message_id=message_id
    )


def reply_to(session: Session, message: StoredMessage) -> ChatMessage | None:
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
    session: Session, stream: Stream, at_most: int, before: int | None = None
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


def _piece(session: Session, stream: Stream, number: int, before: int | None) -> Sequence[Any]:
    where = {"tenant_id": stream.tenant_id, "stream_id": stream.id, "number": number}
    if before is None:
        return session.runtime.database.find_all(_LAST, **where)
    return session.runtime.database.find_all(_LAST_BEFORE, **where, before=before)


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
    stream = _LOCKED.first(session, **_naming(tenant_id, agent_id, name))
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


def _naming(tenant_id: str, agent_id: str, name: StreamName) -> dict[str, str]:
    return {
        "tenant_id": tenant_id,
        "agent_id": agent_id,
        "platform": name.platform,
        "chat_identifier": name.chat_identifier,
    }


class _Said(NamedTuple):
    seq: int
    role: str
    content: str


_STREAM = select(ChatStream.id, ChatStream.tenant_id, ChatStream.next_seq)
_NAMED = _STREAM.where(
    ChatStream.tenant_id == bindparam("tenant_id"),
    ChatStream.agent_id == bindparam("agent_id"),
    ChatStream.platform == bindparam("platform"),
    ChatStream.chat_identifier == bindparam("chat_identifier"),
)
_FOUND = LookUp(_NAMED, Stream)
_LOCKED = Statement(_NAMED.with_for_update(), Stream)
_LOCKED_BY_ID = Statement(
    _STREAM.where(ChatStream.id == bindparam("stream_id")).with_for_update(), Stream
)
_OF_STREAM = (
    ChatMessage.tenant_id == bindparam("tenant_id"),
    ChatMessage.stream_id == bindparam("stream_id"),
)
_MESSAGE_NAMED = Statement(
    select(*(getattr(ChatMessage, name) for name in StoredMessage._fields)).where(
        *_OF_STREAM, ChatMessage.message_id == bindparam("message_id")
    ),
    StoredMessage,
)
_SAID = (
    select(ChatMessage.seq, ChatMessage.role, ChatMessage.content)
    .where(*_OF_STREAM)
    .order_by(ChatMessage.seq.desc())
    .limit(bindparam("number", type_=Integer))
)
_LAST = LookUp(_SAID, _Said)
_LAST_BEFORE = LookUp(_SAID.where(ChatMessage.seq < bindparam("before")), _Said)
_MESSAGE = Addition(ChatMessage)
_COUNT_ON: Statement[Any] = Statement(
    update(ChatStream)
    .where(ChatStream.id == bindparam("stream_id"))
    .values(next_seq=bindparam("following"))
)
_MARK: Statement[Any] = Statement(
    update(ChatMessage)
    .where(ChatMessage.id == bindparam("id_of_message"))
    .values(state=bindparam("new_state"))
)


def _make(session: Session, tenant_id: str, agent_id: str, name: StreamName) -> None:
    fresh = {
        **_naming(tenant_id, agent_id, name),
        "id": new_id("stream"),
        "next_seq": 1,
        "created_at": clock.now(),
    }
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(ChatStream).values(fresh).on_conflict_do_nothing())
    else:
        same = mysql.insert(ChatStream).values(fresh)
        session.execute(same.on_duplicate_key_update(next_seq=ChatStream.next_seq))
