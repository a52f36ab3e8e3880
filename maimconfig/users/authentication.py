"""Proving who one is: throttled, equally slow for everybody, with no transaction held meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from maimconfig.db.session import Actor, Session
from maimconfig.http.errors import Busy, LoginFailed, RateLimited, TokenInvalid
from maimconfig.rate_limits import attempts
from maimconfig.rate_limits import service as rate_limits
from maimconfig.rate_limits.attempts import Attempt, Undecided
from maimconfig.rate_limits.service import RateVerdict
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users import service, sessions
from maimconfig.users.models import User, folded
from maimconfig.users.sessions import Granted

T = TypeVar("T")
R = TypeVar("R")

WINDOW = timedelta(minutes=1)
WAIT_SECONDS = 5  # as long as a password waits for its hash
ASK_AGAIN_SECONDS = 0.1


def log_in(
    runtime: Runtime, actor: Actor, *, name: str, password: str, user_agent: str | None
) -> tuple[Granted, RateVerdict]:
    """Begin a session for a username or an email and its password.

    Returns:
        the session, and how many attempts may fail before they are refused.

    Raises:
        LoginFailed: wrong, whether or not there is such a user.
        RateLimited: too many failures for the account or from the address.
        Busy: too many logins at once.
    """
    subjects = [f"login:name:{folded(name)[:100]}", f"login:address:{actor.address}"]

    def prove() -> tuple[User, str | None]:
        user = runtime.read(lambda session: service.by_login(session, name))
        stored = user.password_hash if user is not None else None
        if not passwords.verify_password(password, stored) or user is None or not user.is_active:
            raise LoginFailed
        outdated = passwords.is_outdated(user.password_hash)
        return user, passwords.hash_password(password) if outdated else None

    def begin(session: Session, proven: tuple[User, str | None]) -> Granted:
        return _begin(session, *proven, user_agent)

    return _attempt(runtime, actor, subjects, prove, begin)


def change_password(
    runtime: Runtime, actor: Actor, *, user: User, session_id: str, old: str, new: str
) -> RateVerdict:
    """Give a user that proves its old password another one, and end its other sessions.

    Args:
        user: who asks for it.
        session_id: in which.

    Returns:
        how many attempts may fail before they are refused.

    Raises:
        LoginFailed: the old password is wrong, or was changed meanwhile.
        TokenInvalid: the user is gone or the session has ended meanwhile.
        RateLimited: too many failures.
        Busy: too many passwords at once.
    """

    def prove() -> str:
        if not passwords.verify_password(old, user.password_hash):
            raise LoginFailed
        return passwords.hash_password(new)

    def change(session: Session, password_hash: str) -> None:
        present = session.get(User, user.id, with_for_update=True)
        if present is None or not sessions.is_living(session, user.id, session_id):
            raise TokenInvalid(internal="ended while the password was verified")
        _require_same(present, user)
        service.set_password(session, user.id, password_hash, keep_session=session_id)

    return _attempt(runtime, actor, [f"login:password:{user.id}"], prove, change)[1]


def throttle_registration(runtime: Runtime, actor: Actor) -> RateVerdict:
    """Count a registration, whatever comes of it; what is left of the minute's.

    Raises:
        RateLimited: the address has used up its registrations of this minute.
    """
    limit = runtime.settings.login_attempts_per_minute
    subject = f"register:address:{actor.address}"

    def take(session: Session) -> RateVerdict:
        verdict = rate_limits.take(session, subject, limit=limit, window=WINDOW)
        if not verdict.allowed:
            raise RateLimited(retry_after=verdict.reset, headers=verdict.headers)
        return verdict

    return runtime.write(take, actor)


def _attempt(
    runtime: Runtime,
    actor: Actor,
    subjects: Sequence[str],
    prove: Callable[[], T],
    then: Callable[[Session, T], R],
) -> tuple[R, RateVerdict]:
    """Prove a password under the limits of its subjects, then do what it was proven for.

    An attempt is counted before it is made, so that of many at once no more than allowed reach
    the password's hash. A refused one counts for none of its subjects, or one address could lock
    every account.
    """
    attempt = _admitted(runtime, actor, subjects)
    failed = True
    try:
        try:
            proven = prove()
        except Busy:  # it never reached the hash
            failed = False
            raise

        def finish(session: Session) -> R:
            done = then(session, proven)
            attempts.end(session, attempt, failed=False)
            return done

        return runtime.write(finish, actor), attempt.rate_after(failed=False)
    except BaseException as error:
        if isinstance(error, LoginFailed):
            error.headers.update(attempt.rate_after(failed=True).headers)
        runtime.write(lambda session: attempts.end(session, attempt, failed=failed), actor)
        raise


def _admitted(runtime: Runtime, actor: Actor, subjects: Sequence[str]) -> Attempt:
    limits: Any = {"limit": runtime.settings.login_attempts_per_minute, "window": WINDOW}
    until = time.monotonic() + WAIT_SECONDS
    while True:
        for new in runtime.read(lambda session: attempts.look(session, subjects, **limits)):
            runtime.write(partial(rate_limits.make_window, subject=new), actor)
        try:
            return runtime.write(lambda session: attempts.begin(session, subjects, **limits), actor)
        except Undecided as error:
            if time.monotonic() > until:
                raise Busy(internal="too many logins under way") from error
        time.sleep(ASK_AGAIN_SECONDS * random.uniform(0.5, 1.5))


def _begin(session: Session, user: User, fresh: str | None, user_agent: str | None) -> Granted:
    present = session.get(User, user.id, with_for_update=True)
    if present is None or not present.is_active:
        raise LoginFailed(internal="gone while the password was verified")
    _require_same(present, user)
    service.note_login(session, user.id, fresh)
    return sessions.begin(session, present, user_agent)


def _require_same(present: User, proven: User) -> None:
    if present.password_hash != proven.password_hash:
        raise LoginFailed(internal="changed while the password was verified")
