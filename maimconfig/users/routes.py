"""/api/v1/auth"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from maimconfig.db.session import Session
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import actor, current, login, runtime, session
from maimconfig.http.parsing import load_body
from maimconfig.security import passwords
from maimconfig.users import authentication, schemas, service, sessions
from maimconfig.users.models import User
from maimconfig.users.sessions import Granted, LivingSession

blp = Blueprint(
    "users",
    __name__,
    style="plain",
    url_prefix="/api/v1/auth",
    description="Registration, logins and their sessions.",
)


HASHED = (errors.Busy, errors.DatabaseUnavailable)


def _hash_of_newcomer() -> str:
    payload = load_body(schemas.Register())
    verdict = authentication.throttle_registration(runtime(), actor())
    current().headers.update(verdict.headers)
    return passwords.hash_password(payload["password"])


@blp.post(
    "/register",
    creates=True,
    first=_hash_of_newcomer,
    errors=(errors.UserTaken, errors.RateLimited, errors.Busy),
)
@blp.arguments(schemas.Register)
@blp.response(200, schemas.UserOut)
def register(payload: dict[str, Any]) -> User:
    """Register, with a personal tenant"""
    del payload["password"]
    return service.create(session(), password_hash=current().prepared, **payload)


@blp.post("/login", unit="none", errors=(errors.LoginFailed, errors.RateLimited, *HASHED))
@blp.arguments(schemas.LogIn, form=True)
@blp.response(200, schemas.TokensOut)
def log_in(payload: dict[str, Any]) -> dict[str, Any]:
    """Log in, by a form or JSON"""
    granted, rate = authentication.log_in(
        runtime(),
        actor(),
        name=payload.get("username") or payload["email"],
        password=payload["password"],
        user_agent=request.headers.get("User-Agent"),
    )
    current().headers.update(rate.headers)
    return _shown(granted)


@blp.post("/refresh", unit="none", errors=(errors.DatabaseUnavailable,))
@blp.arguments(schemas.RefreshIn)
@blp.response(200, schemas.TokensOut)
def refresh(payload: dict[str, Any]) -> dict[str, Any]:
    """Exchange a refresh token for new tokens

    A refresh token is good once; an older one ends its whole session.
    """
    granted = runtime().write(
        lambda unit: sessions.refresh(unit, payload["refresh_token"]), actor()
    )
    if granted is None:
        raise errors.TokenInvalid
    return _shown(granted)


@blp.post("/logout")
@blp.response(204)
def log_out() -> Response:
    """End this session"""
    sessions.end(session(), login().user_id, login().session_id)
    return Response(status=204)


@blp.post("/logout-all")
@blp.response(204)
def log_out_everywhere() -> Response:
    """End all sessions of the user"""
    sessions.end_all(session(), login().user_id)
    return Response(status=204)


@blp.get("/me")
@blp.response(200, schemas.MeOut)
def get_me() -> User:
    """Who is asking"""
    return _myself(session())


@blp.get("/sessions")
@blp.response(200, schemas.SessionOut(many=True))
def list_sessions() -> Sequence[LivingSession]:
    """List the user's living sessions, newest first"""
    return sessions.of_user(session(), login().user_id, login().session_id)


@blp.post(
    "/change-password",
    unit="none",
    errors=(errors.LoginFailed, errors.RateLimited, *HASHED),
)
@blp.arguments(schemas.ChangePassword)
@blp.response(204)
def change_password(payload: dict[str, Any]) -> Response:
    """Change the password; the user's other sessions end"""
    rate = authentication.change_password(
        runtime(),
        actor(),
        user=runtime().read(_myself),
        session_id=login().session_id,
        old=payload["old_password"],
        new=payload["new_password"],
    )
    current().headers.update(rate.headers)
    return Response(status=204)


def _myself(unit: Session) -> User:
    try:
        return service.get(unit, login().user_id)
    except errors.UserNotFound as error:
        raise errors.TokenInvalid(internal="user was deleted meanwhile") from error


def _shown(granted: Granted) -> dict[str, Any]:
    current().headers["Cache-Control"] = "no-store"
    return {
        "access_token": granted.access_token,
        "token_type": "bearer",
        "expires_in": granted.expires_in,
        "refresh_token": granted.refresh_token,
        "user": granted.user,
        "permissions": granted.user.permissions,
    }
