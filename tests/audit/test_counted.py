"""How many entries the audit log has."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import time_machine

from maimconfig import retention
from maimconfig.audit import service
from maimconfig.audit.counted import KEPT, SETTLED
from maimconfig.runtime import Runtime
from tests.test_query_counts import counted

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def record(runtime: Runtime, moment: datetime, number: int = 1) -> None:
    """Entries of a moment."""
    with time_machine.travel(moment, tick=False):
        for _ in range(number):
            runtime.write(
                lambda session: service.record(session, "x.create", "x", tenant_id=None, after={})
            )


def total(runtime: Runtime) -> int:
    """What the list says, which is what its pages have."""
    page = runtime.read(lambda session: service.find(session, page=1, page_size=100))
    assert page.total == len(page.items)
    return page.total


@pytest.mark.parametrize("later", [timedelta(0), HOUR, SETTLED + HOUR, KEPT, KEPT + 3 * HOUR])
def test_total(runtime: Runtime, later: timedelta) -> None:
    """However long ago it was counted, the total is that of all entries, of new ones too."""
    with time_machine.travel(NOW, tick=False):
        assert total(runtime) == 0
    record(runtime, NOW - 30 * HOUR, 3)
    record(runtime, NOW - HOUR, 2)
    with time_machine.travel(NOW, tick=False):
        assert total(runtime) == 5
    record(runtime, NOW + later)
    record(runtime, NOW - HOUR)  # by a clock that was set back
    with time_machine.travel(NOW + later, tick=False):
        assert total(runtime) == 7
        assert total(runtime) == 7


def test_retention(runtime: Runtime) -> None:
    """What retention deletes isn't in the total any more."""
    record(runtime, NOW - 50 * HOUR, 2)
    record(runtime, NOW - 30 * HOUR, 3)
    with time_machine.travel(NOW, tick=False):
        assert total(runtime) == 5
        before = NOW - 40 * HOUR
        assert runtime.write(lambda session: retention.prune_audit(session, before)) == 2
        assert total(runtime) == 3
        assert runtime.write(lambda session: retention.prune_audit(session, NOW)) == 3
        assert total(runtime) == 0


def test_counted_once(runtime: Runtime) -> None:
    """What is settled is counted once, and not with each page."""
    record(runtime, NOW - 30 * HOUR, 3)
    with time_machine.travel(NOW, tick=False):
        for statements in (3, 2):
            with counted(runtime) as sent:
                assert total(runtime) == 3
            assert len(sent) == statements
