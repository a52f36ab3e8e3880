"""Conversations in numbers: what the rows say, today and this week."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from maimconfig.conversations.models import Conversation
from maimconfig.runtime import Runtime
from tests.api import Api
from tests.factories import conversations as made
from tests.factories import users

pytestmark = pytest.mark.usefixtures("nobody_answers")

URL = "/api/v1/admin/analytics/conversations"
THURSDAY = datetime(2036, 11, 27, 8, tzinfo=timezone.utc)
MONDAY = THURSDAY - timedelta(days=3)
NOTHING = {"begun": 0, "handled_by_ai": 0, "handled_by_human": 0, "handled_by_ai_alone": 0,
           "handed_off": 0, "first_response_seconds": None, "resolved": 0,
           "resolution_seconds": None, "satisfaction": {"count": 0, "average": None}}  # fmt: skip


def began(runtime: Runtime, moment: datetime, **values: Any) -> made.Talk:
    """A conversation that began at a moment, with what became of it."""
    talk = made.talk(runtime)
    row = update(Conversation).where(Conversation.id == talk.id)
    row = row.values(created_at=moment, last_activity_at=moment, **values)
    runtime.write(lambda session: session.execute(row) and None)
    return talk


def test_numbers(public: Api, runtime: Runtime) -> None:
    """Each period counts what began in it, and what was resolved in it; times are averages."""
    with time_machine.travel(THURSDAY, tick=False):
        boss = users.person(public, "supervisor")
        nothing = boss.found(URL)
        second = timedelta(seconds=1)
        began(runtime, THURSDAY - second, first_reply_at=THURSDAY + second, handled_by_ai=True)
        began(runtime, THURSDAY, first_reply_at=THURSDAY + 4.5 * second, handled_by_ai=True,
              handled_by_human=True, handed_off_at=THURSDAY, current_agent_type="human",
              status="pending", satisfaction=4)  # fmt: skip
        began(runtime, MONDAY, status="resolved", resolved_at=MONDAY + 600 * second,
              satisfaction=1)  # fmt: skip
        # Of last week, but resolved today.
        began(runtime, MONDAY - timedelta(days=3), status="closed",
              resolved_at=THURSDAY)  # fmt: skip
        began(runtime, MONDAY - timedelta(days=30), handled_by_ai=True)
        found = boss.found(URL)
    assert nothing["today"] == nothing["this_week"] == NOTHING
    assert nothing["now"] == dict.fromkeys(found["now"], 0)
    assert found["today"] == {
        **NOTHING, "begun": 2, "handled_by_ai": 2, "handled_by_human": 1,
        "handled_by_ai_alone": 1, "handed_off": 1, "first_response_seconds": 3.25,
        "resolved": 1, "resolution_seconds": 6 * 86400.0,
        "satisfaction": {"count": 1, "average": 4.0},
    }  # fmt: skip
    assert found["this_week"] == {
        **found["today"], "begun": 3, "resolved": 2,
        "resolution_seconds": (6 * 86400 + 600) / 2,
        "satisfaction": {"count": 2, "average": 2.5},
    }  # fmt: skip
    assert found["now"] == {"open": 2, "pending": 1, "with_ai": 2, "with_people": 0, "waiting": 1}


def test_whose(public: Api, runtime: Runtime) -> None:
    """Counted is what one sees, and of it what is asked for; the dashboard shows the same."""
    boss, admin = users.person(public, "supervisor"), users.person(public, "admin")
    mine, other = made.talk(runtime), made.talk(runtime)

    def begun(**query: Any) -> int:
        return boss.found(URL, query_string=query)["today"]["begun"]

    assert (begun(), begun(tenant_id=mine.chat.tenant_id), begun(agent_id="agent_x")) == (2, 1, 0)
    served = {"tenant_ids": [mine.chat.tenant_id]}
    assert admin.put(f"/api/v1/admin/users/{boss.id}", served).status_code == 200
    assert (begun(), begun(tenant_id=other.chat.tenant_id)) == (1, 0)
    for who, number in ((boss, 1), (admin, 2)):
        shown = who.found("/api/v1/admin/analytics/dashboard")["conversations"]
        assert shown == who.found(URL)
        assert shown["now"]["open"] == number
