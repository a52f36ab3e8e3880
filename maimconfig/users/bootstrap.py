"""The first administrator, from the settings."""

from __future__ import annotations

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from maimconfig.db import migrations
from maimconfig.db.session import SYSTEM, Session
from maimconfig.http.errors import UserTaken
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.users import service
from maimconfig.users.models import User

log = structlog.get_logger(__name__)


def make_first_admin(runtime: Runtime) -> None:
    """Create the administrator of MAIMCONFIG_ADMIN_EMAIL unless there is any administrator.

    Its username is the email's local part, or where that is somebody's, with a number behind it.
    Several processes may start at once: the unique email lets one of them through. Where the
    database isn't ready yet, the next start does it.
    """
    email, password = runtime.settings.admin_email, runtime.settings.admin_password
    if email is None or password is None:
        return
    if not _is_ready(runtime):
        log.warning("first_admin.not_made", reason="the database is not ready", when="next start")
        return
    if runtime.read(_has_admin):
        return
    password_hash = passwords.hash_password(password)

    def create(session: Session) -> str | None:
        if _has_admin(session):
            return None
        name = _free_name(session, email.partition("@")[0])
        made = service.create(
            session, username=name, email=email, password_hash=password_hash, role="admin"
        )
        return made.username

    try:
        made = runtime.write(create, SYSTEM)
    except UserTaken:
        if not runtime.read(_has_admin):
            log.warning("first_admin.not_made", reason="the email is another user's")
        return
    if made is not None:
        log.info("first_admin.made", username=made)


def _free_name(session: Session, wanted: str) -> str:
    names = [wanted[:64], *(f"{wanted[:60]}-{number}" for number in range(2, 100))]
    return next((name for name in names if service.by_login(session, name) is None), names[-1])


def _is_ready(runtime: Runtime) -> bool:
    try:
        return migrations.matches(runtime.database)
    except DBAPIError:
        return False


def _has_admin(session: Session) -> bool:
    return session.scalar(select(User.id).where(User.role == "admin").limit(1)) is not None
