"""The service and its users in numbers, computed from the rows."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select

from maimconfig import clock
from maimconfig.activity.models import AgentActivity
from maimconfig.agents.models import Agent
from maimconfig.api_keys.models import ApiKey
from maimconfig.conversations import analytics as conversations
from maimconfig.db.session import Session
from maimconfig.tenants.models import Tenant
from maimconfig.usage.report import of_everybody
from maimconfig.users.login import Login
from maimconfig.users.models import LoginSession, User

REGISTRATION_DAYS = 30


def dashboard(session: Session, login: Login) -> dict[str, Any]:
    """Counts of all kinds of objects by status, usage today and this month, and the conversations
    of the tenants that a user serves."""
    now = clock.now()
    _, by_status = _users_by(session)
    alive = select(func.count()).select_from(AgentActivity).where(AgentActivity.expires_at > now)
    return {
        "users": {"total": by_status.total(), **by_status},
        "tenants": _by(session, Tenant.status),
        "agents": {**_by(session, Agent.status), "alive": session.scalar(alive) or 0},
        "api_keys": _by(session, ApiKey.status),
        "conversations": conversations.numbers(session, login),
        "usage_today": of_everybody(session, "all day", now.strftime("%Y-%m-%d")),
        "usage_this_month": of_everybody(session, "all month", now.strftime("%Y-%m")),
    }


def users(session: Session) -> dict[str, Any]:
    """Counts of users by role and status, their sessions, and registrations by day."""
    now = clock.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    living = and_(LoginSession.ended_at.is_(None), LoginSession.expires_at > now)
    by_role, by_status = _users_by(session)
    return {
        "total": by_role.total(),
        "by_role": by_role,
        "by_status": by_status,
        "active_sessions": _count(session, LoginSession, living),
        "logged_in_today": _count(session, User, User.last_login_at >= midnight),
        "registrations": _registrations(session, midnight),
    }


def _users_by(session: Session) -> tuple[Counter[str], Counter[str]]:
    """How many users there are of each role, and of each status."""
    by_role, by_status = Counter[str](), Counter[str]()
    kinds = select(User.role, User.status, func.count()).group_by(User.role, User.status)
    for role, status, number in session.execute(kinds):
        by_role[role] += number
        by_status[status] += number
    return by_role, by_status


def _by(session: Session, column: Any) -> dict[str, int]:
    counts: dict[str, int] = dict(
        session.execute(select(column, func.count()).group_by(column)).all()
    )
    return {"total": sum(counts.values()), **counts}


def _count(session: Session, model: Any, wanted: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(model).where(wanted)) or 0


def _registrations(session: Session, midnight: datetime) -> list[dict[str, Any]]:
    first = midnight - timedelta(days=REGISTRATION_DAYS - 1)
    moments = session.scalars(select(User.created_at).where(User.created_at >= first))
    counts = {
        (first + timedelta(days=day)).strftime("%Y-%m-%d"): 0 for day in range(REGISTRATION_DAYS)
    }
    for moment in moments:
        counts[moment.strftime("%Y-%m-%d")] += 1
    return [{"day": day, "count": count} for day, count in counts.items()]
