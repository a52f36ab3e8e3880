"""Login sessions: begun by a login, carried on by refresh tokens, ended by a logout or a theft."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Update, delete, select, update

from maimconfig import clock
from maimconfig.audit import service as audit
from maimconfig.db.ids import new_id
from maimconfig.db.session import Session
from maimconfig.http.errors import TokenInvalid
from maimconfig.security import tokens
from maimconfig.security.tokens import Refresh
from maimconfig.users.models import LoginSession, User


@dataclass(frozen=True)
class Granted:
    """What a login or a refresh gives.

    Attributes:
        expires_in: seconds that the access token lasts.
    """

    user: User
    access_token: str
    refresh_token: str
    expires_in: int


class LivingSession(NamedTuple):
    """A session that may be carried on, as its user sees it; the names are the model's.

    Attributes:
        is_asking: the user sees it from this one.
    """

    id: str
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None
    is_asking: bool


def begin(session: Session, user: User, user_agent: str | None) -> Granted:
    """Begin a session of a user that has proven who it is."""
    now = clock.now()
    login = LoginSession(
        id=new_id("login"),
        user_id=user.id,
        nonce=secrets.token_hex(32),
        generation=1,
        rotated_at=now,
        created_at=now,
        expires_at=now + _refresh_lifetime(session),
        address=session.actor.address,
        user_agent=(user_agent or "")[:200] or None,
    )
    session.add(login)
    return _granted(session, user, login)


def refresh(session: Session, token: str) -> Granted | None:
    """Exchange a refresh token for new tokens.

    The one good token is rotated by a conditional UPDATE, so of many at once one rotates; the
    others, and whoever lost the answer, get the same new token while the grace lasts. An older
    one was stolen or leaked: its session ends.

    Returns:
        None when the token was replayed; the session is ended then, and that must be kept.

    Raises:
        TokenInvalid: the token isn't good, and that isn't a reason to end anything.
    """
    sent = tokens.parse_refresh(token)
    login = session.get(LoginSession, sent.session_id, with_for_update=True)
    if login is None or not tokens.is_genuine(session.runtime.vault, sent, login.nonce):
        raise TokenInvalid(internal="unknown refresh token")
    user = session.get_one(User, login.user_id)
    if login.ended_at is not None or login.expires_at <= clock.now() or not user.is_active:
        raise TokenInvalid(internal="session has ended")
    if sent.generation == login.generation:
        _rotate(session, login)
    elif not _is_repeated(session, login, sent):
        _end(session, login, "replayed refresh token")
        return None
    return _granted(session, user, login)


def of_user(session: Session, user_id: str, asking: str) -> Sequence[LivingSession]:
    """The living sessions of a user, newest first.

    Args:
        asking: the session that the question comes from.
    """
    columns = (getattr(LoginSession, name) for name in LivingSession._fields[:-1])
    found = session.execute(
        select(*columns, LoginSession.id == asking)
        .where(*_living(user_id))
        .order_by(LoginSession.created_at.desc(), LoginSession.id.desc())
    )
    return [LivingSession._make(row) for row in found]


def is_living(session: Session, user_id: str, session_id: str) -> bool:
    """Whether a session of a user may still be carried on."""
    found = select(LoginSession.id).where(*_living(user_id), LoginSession.id == session_id)
    return session.scalar(found) is not None


def end(session: Session, user_id: str, session_id: str) -> None:
    """End one session of a user; one that has ended already stays so."""
    session.execute(_ending(user_id).where(LoginSession.id == session_id))


def end_all(session: Session, user_id: str, *, but: str | None = None) -> None:
    """End all sessions of a user, but one."""
    ending = _ending(user_id)
    session.execute(ending if but is None else ending.where(LoginSession.id != but))


def forget_expired(session: Session) -> None:
    """Delete sessions that nobody can carry on."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at < clock.now()))


def _rotate(session: Session, login: LoginSession) -> None:
    login.generation += 1
    login.rotated_at = clock.now()
    login.expires_at = clock.now() + _refresh_lifetime(session)


def _is_repeated(session: Session, login: LoginSession, sent: Refresh) -> bool:
    grace = timedelta(seconds=session.runtime.settings.refresh_grace_seconds)
    return sent.generation == login.generation - 1 and clock.now() - login.rotated_at <= grace


def _end(session: Session, login: LoginSession, reason: str) -> None:
    login.ended_at = clock.now()
    audit.record(session, "login_session.end", login.id, tenant_id=None, after={"reason": reason})


def _living(user_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        LoginSession.user_id == user_id,
        LoginSession.ended_at.is_(None),
        LoginSession.expires_at > clock.now(),
    )


def _ending(user_id: str) -> Update:
    return update(LoginSession).where(*_living(user_id)).values(ended_at=clock.now())


def _refresh_lifetime(session: Session) -> timedelta:
    return timedelta(days=session.runtime.settings.refresh_token_days)


def _granted(session: Session, user: User, login: LoginSession) -> Granted:
    lifetime = timedelta(minutes=session.runtime.settings.access_token_minutes)
    vault = session.runtime.vault
    return Granted(
        user=user,
        access_token=tokens.make_access(vault, user.id, login.id, lifetime),
        refresh_token=tokens.make_refresh(vault, login.id, login.generation, login.nonce),
        expires_in=int(lifetime.total_seconds()),
    )
