"""Conversations in numbers, computed from the rows: today, this week, and what waits now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from maimconfig import clock
from maimconfig.conversations.models import Conversation
from maimconfig.db.intervals import seconds_between
from maimconfig.db.session import Session
from maimconfig.users import presence
from maimconfig.users.login import Login

_FIRST_RESPONSE = seconds_between(Conversation.created_at, Conversation.first_reply_at)
_RESOLUTION = seconds_between(Conversation.created_at, Conversation.resolved_at)


def numbers(
    session: Session, login: Login, *, tenant_id: str | None = None, agent_id: str | None = None
) -> dict[str, Any]:
    """The conversations of the tenants that a user serves; three statements.

    Days and weeks are UTC, and a week begins on Monday. What is told of a period is of the
    conversations that began in it, but for those that were resolved in it.

    Args:
        tenant_id, agent_id: only those of one.
    """
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    wanted = [presence.visible(login, Conversation.tenant_id)]
    if tenant_id is not None:
        wanted.append(Conversation.tenant_id == tenant_id)
    if agent_id is not None:
        wanted.append(Conversation.agent_id == agent_id)
    begun = _begun(session, wanted, monday, midnight)
    resolved = _resolved(session, wanted, monday, midnight)
    return {
        "now": _now(session, wanted),
        "today": _period(begun[:1], resolved[:1]),
        "this_week": _period(begun, resolved),
    }


def _begun(
    session: Session, wanted: list[ColumnElement[bool]], since: datetime, midnight: datetime
) -> list[dict[str, float]]:
    columns = {
        "begun": func.count(),
        "handled_by_ai": _number(Conversation.handled_by_ai),
        "handled_by_human": _number(Conversation.handled_by_human),
        "handled_by_ai_alone": _number(Conversation.handled_by_ai, ~Conversation.handled_by_human),
        "handed_off": func.count(Conversation.handed_off_at),
        "answered": func.count(Conversation.first_reply_at),
        "waited": func.sum(_FIRST_RESPONSE),
        "rated": func.count(Conversation.satisfaction),
        "rating": func.sum(Conversation.satisfaction),
    }
    return _by_day(session, columns, wanted, Conversation.created_at, since, midnight)


def _resolved(
    session: Session, wanted: list[ColumnElement[bool]], since: datetime, midnight: datetime
) -> list[dict[str, float]]:
    columns = {"resolved": func.count(), "took": func.sum(_RESOLUTION)}
    return _by_day(session, columns, wanted, Conversation.resolved_at, since, midnight)


def _by_day(
    session: Session, columns: dict[str, Any], wanted: list[ColumnElement[bool]], moment: Any,
    since: datetime, midnight: datetime,
) -> list[dict[str, float]]:  # fmt: skip
    """The sums of today, and of what was before it since a moment."""
    is_today = case((moment >= midnight, 1), else_=0)
    rows = session.execute(
        select(is_today.label("is_today"), *(one.label(name) for name, one in columns.items()))
        .where(*wanted, moment >= since)
        .group_by("is_today")
    ).mappings()
    found = {row["is_today"]: {name: float(row[name] or 0) for name in columns} for row in rows}
    return [found.get(day, dict.fromkeys(columns, 0.0)) for day in (1, 0)]


def _number(*conditions: ColumnElement[bool] | Any) -> Any:
    condition = conditions[0]
    for further in conditions[1:]:
        condition = condition & further
    return func.sum(case((condition, 1), else_=0))


def _period(
    begun: Sequence[dict[str, float]], resolved: Sequence[dict[str, float]]
) -> dict[str, Any]:
    of_begun = {name: sum(day[name] for day in begun) for name in begun[0]}
    of_resolved = {name: sum(day[name] for day in resolved) for name in resolved[0]}
    counted = ("begun", "handled_by_ai", "handled_by_human", "handled_by_ai_alone", "handed_off")
    return {
        **{name: int(of_begun[name]) for name in counted},
        "first_response_seconds": _mean(of_begun["waited"], of_begun["answered"]),
        "resolved": int(of_resolved["resolved"]),
        "resolution_seconds": _mean(of_resolved["took"], of_resolved["resolved"]),
        "satisfaction": {
            "count": int(of_begun["rated"]),
            "average": _mean(of_begun["rating"], of_begun["rated"]),
        },
    }


def _mean(total: float, number: float) -> float | None:
    return round(total / number, 3) if number else None


def _now(session: Session, wanted: list[ColumnElement[bool]]) -> dict[str, int]:
    rows = session.execute(
        select(
            Conversation.status,
            Conversation.current_agent_type,
            Conversation.assignee_id.is_(None),
            func.count(),
        )
        .where(*wanted, Conversation.status.in_(("open", "pending")))
        .group_by(
            Conversation.status,
            Conversation.current_agent_type,
            Conversation.assignee_id.is_(None),
        )
    ).all()
    return {
        "open": sum(count for status, _, _, count in rows if status == "open"),
        "pending": sum(count for status, _, _, count in rows if status == "pending"),
        "with_ai": sum(count for _, kind, _, count in rows if kind == "ai"),
        "with_people": sum(count for _, kind, nobody, count in rows
                           if kind == "human" and not nobody),
        "waiting": sum(count for _, kind, nobody, count in rows if kind == "human" and nobody),
    }  # fmt: skip
