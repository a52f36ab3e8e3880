"""Proving who one is: throttled, equally slow for everybody, with no transaction held meanwhile."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from maimconfig.db.session import Actor, Session
from maimconfig.http.errors import LoginFailed, RateLimited, TokenInvalid
from maimconfig.rate_limits import service as rate_limits
from maimconfig.rate_limits.models import RateWindow
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users import service, sessions
from maimconfig.users.models import User, folded
from maimconfig.users.sessions import Granted

WINDOW = timedelta(minutes=1)


def log_in(
    runtime: Runtime, actor: Actor, *, name: str, password: str, user_agent: str | None
) -> Granted:
    """Begin a session for a username or an email and its password.

    Raises:
        LoginFailed: wrong, whether or not there is such a user.
        RateLimited: too many failures for the account or from the address.
        Busy: too many logins at once.
    """
    subjects = [f"login:name:{folded(name)[:100]}", f"login:address:{actor.address}"]
    throttle(runtime, actor, subjects)
    user = runtime.read(lambda session: service.by_login(session, name))
    stored = user.password_hash if user is not None else None
    if not passwords.verify_password(password, stored) or user is None or not user.is_active:
        raise LoginFailed
    fresh = passwords.hash_password(password) if passwords.is_outdated(user.password_hash) else None
    return runtime.write(lambda session: _begin(session, user, subjects, user_agent, fresh), actor)


def change_password(session: Session, user: User, password_hash: str, session_id: str) -> None:
    """Give a user that has proven its old password another one, and end its other sessions.

    Args:
        user: as it was when the old password was verified.
        session_id: that asks for it.

    Raises:
        TokenInvalid: the user is gone or the session has ended meanwhile.
        LoginFailed: the password was changed meanwhile, so the proven one isn't it any more.
    """
    present = session.get(User, user.id, with_for_update=True)
    if present is None or not sessions.is_living(session, user.id, session_id):
        raise TokenInvalid(internal="ended while the password was verified")
    if present.password_hash != user.password_hash:
        raise LoginFailed(internal="changed while the password was verified")
    service.set_password(session, user.id, password_hash, keep_session=session_id)


def check_password(user: User, password: str) -> None:
    """Refuse a wrong password of a user that is known already.

    Raises:
        LoginFailed: it is wrong.
    """
    if not passwords.verify_password(password, user.password_hash):
        raise LoginFailed


def throttle(runtime: Runtime, actor: Actor, subjects: list[str]) -> None:
    """Count an attempt before it is made, so that of many at once no more than allowed reach the
    password's hash; a success gives its attempt back.

    A refused attempt counts for none of its subjects, or one address could lock every account.

    Raises:
        RateLimited: a subject has used up its attempts of this minute.
    """
    limit = runtime.settings.login_attempts_per_minute

    def take(session: Session) -> None:
        verdicts = [
            rate_limits.take(session, subject, limit=limit, window=WINDOW) for subject in subjects
        ]
        if refused := [verdict.reset for verdict in verdicts if not verdict.allowed]:
            raise RateLimited(retry_after=max(refused))

    runtime.write(take, actor)


def _begin(
    session: Session, user: User, subjects: list[str], user_agent: str | None, fresh: str | None
) -> Granted:
    present = session.get(User, user.id, with_for_update=True)
    if present is None or not present.is_active or present.password_hash != user.password_hash:
        raise LoginFailed(internal="changed while the password was verified")
    service.note_login(session, user.id, fresh)
    session.execute(
        update(RateWindow)
        .where(RateWindow.subject.in_(subjects), RateWindow.used > 0)
        .values(used=RateWindow.used - 1),
        execution_options={"synchronize_session": False},
    )
    return sessions.begin(session, present, user_agent)
