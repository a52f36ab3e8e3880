"""Who an access token stands for: one query a request, so that a change takes effect at once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, select

from maimconfig import clock
from maimconfig.db.look_up import LookUp
from maimconfig.http.errors import TokenInvalid
from maimconfig.security import tokens
from maimconfig.users.models import LoginSession, User
from maimconfig.users.roles import may

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime


class Login(NamedTuple):
    """A login session and its user.

    Attributes:
        serves_all_tenants: False for staff of listed tenants, see `users.presence`.
    """

    session_id: str
    user_id: str
    username: str
    role: str
    status: str
    expires_at: datetime
    ended_at: datetime | None
    serves_all_tenants: bool

    def may(self, permission: str) -> bool:
        """Whether the user's role has a permission."""
        return may(self.role, permission)


LOGIN_BY_ID: LookUp[Login] = LookUp(
    select(
        LoginSession.id,
        User.id,
        User.username,
        User.role,
        User.status,
        LoginSession.expires_at,
        LoginSession.ended_at,
        User.serves_all_tenants,
    )
    .join(User, User.id == LoginSession.user_id)
    .where(LoginSession.id == bindparam("session_id")),
    Login,
)


def authenticate(runtime: Runtime, token: str) -> Login:
    """The login that an access token stands for.

    Raises:
        TokenInvalid: the token isn't good, its session has ended, or its user isn't active.
    """
    access = tokens.read_access(runtime.vault, token)
    login = runtime.database.find(LOGIN_BY_ID, session_id=access.session_id)
    if login is None or login.user_id != access.user_id:
        raise TokenInvalid(internal="no such session")
    if login.ended_at is not None or login.expires_at <= clock.now():
        raise TokenInvalid(internal="session has ended")
    if login.status != "active":
        raise TokenInvalid(internal="user is not active")
    return login
