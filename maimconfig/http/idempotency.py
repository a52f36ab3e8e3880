"""Idempotency-Key: a creation that is sent again answers what it answered first, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import orjson
from flask import Response, current_app, request
from sqlalchemy import String, delete, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from maimconfig import clock
from maimconfig.db.base import MYSQL_TABLE, Base
from maimconfig.db.session import Session
from maimconfig.db.types import LongText
from maimconfig.http.context import current
from maimconfig.http.errors import IdempotencyKeyReused, Invalid
from maimconfig.http.fields import LENGTH
from maimconfig.http.parsing import json_body

LIFETIME = timedelta(hours=24)  # contract, Habits of a good API
MAX_KEY_LENGTH = 255


class IdempotentAnswer(Base):
    """The first answer to a creation; encrypted, since it may hold an API key."""

    __tablename__ = "idempotent_answers"
    __table_args__ = MYSQL_TABLE

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    body: Mapped[str | None] = mapped_column(LongText)
    created_at: Mapped[datetime] = mapped_column(index=True)


def answer_once(session: Session, caller: str, create: Callable[[], Response]) -> Response:
    """Run a creation under the request's Idempotency-Key.

    The key is stored in the transaction of the creation itself: when that rolls back the key
    is free again, and of two at once the second waits for the first.

    Args:
        caller: whose key it is; two callers may use the same one.
        create: makes the object and its answer.

    Raises:
        IdempotencyKeyReused: the key was used for another request.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return create()
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise Invalid(details={"Idempotency-Key": [LENGTH.format(min=1, max=MAX_KEY_LENGTH)]})
    key_hash, fingerprint = _digest(caller, key), _fingerprint()
    stored = _claim(session, key_hash, fingerprint)
    if stored is not None:
        return _replay(session, stored, fingerprint)
    response = create()
    answer = session.get_one(IdempotentAnswer, key_hash)
    answer.body = session.runtime.vault.encrypt(response.get_data(as_text=True), key_hash)
    return response


def forget_expired(session: Session, at_most: int = 1000) -> int:
    """Delete answers older than 24 hours; how many were deleted."""
    expired = (
        select(IdempotentAnswer.key_hash)
        .where(IdempotentAnswer.created_at < clock.now() - LIFETIME)
        .limit(at_most)
    )
    keys = session.scalars(expired).all()
    if keys:
        session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.key_hash.in_(keys)))
    return len(keys)


def _claim(session: Session, key_hash: str, fingerprint: str) -> IdempotentAnswer | None:
    session.execute(
        delete(IdempotentAnswer).where(
            IdempotentAnswer.key_hash == key_hash,
            IdempotentAnswer.created_at < clock.now() - LIFETIME,
        )
    )
    claim = {"key_hash": key_hash, "fingerprint": fingerprint, "created_at": clock.now()}
    # No savepoint around a plain INSERT: a deadlock within it rolls all back, the savepoint too,
    # and the failing ROLLBACK TO hides that the unit may run again.
    if session.runtime.database.is_sqlite:
        session.execute(sqlite.insert(IdempotentAnswer).values(claim).on_conflict_do_nothing())
    else:
        same = mysql.insert(IdempotentAnswer).values(claim)
        session.execute(same.on_duplicate_key_update(key_hash=key_hash))
    stored = session.get_one(IdempotentAnswer, key_hash)
    # Whoever else made it has committed it, and with its answer.
    return None if stored.body is None else stored


def _replay(session: Session, stored: IdempotentAnswer, fingerprint: str) -> Response:
    if stored.fingerprint != fingerprint or stored.body is None:
        raise IdempotencyKeyReused
    body = session.runtime.vault.decrypt(stored.body, stored.key_hash)
    response: Response = current_app.response_class(body, mimetype="application/json")
    response.headers["Idempotency-Replayed"] = "true"
    response.headers["Cache-Control"] = "no-store"  # it may show a secret, as the first one did
    return response


def _fingerprint() -> str:
    same = orjson.dumps(json_body(current().request), option=orjson.OPT_SORT_KEYS)
    return _digest(request.method, request.full_path, same.decode())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
