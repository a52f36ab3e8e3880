"""The one clock."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import time_machine

import maimconfig
from maimconfig import clock

UTC = timezone.utc


def test_now_is_aware() -> None:
    """The present moment is in UTC and knows it."""
    assert clock.now().utcoffset() == timedelta(0)


def test_now_can_be_held() -> None:
    """Tests can set the clock."""
    moment = datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    with time_machine.travel(moment, tick=False):
        assert clock.now() == moment


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2025, 12, 2, 10, 30, tzinfo=UTC), "2025-12-02T10:30:00Z"),
        (datetime(2025, 12, 2, 10, 30, 0, 1, tzinfo=UTC), "2025-12-02T10:30:00.000001Z"),
        (datetime(2025, 12, 2, 10, 30, 0, 500_000, tzinfo=UTC), "2025-12-02T10:30:00.500000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
        (
            datetime(2025, 12, 2, 18, 30, tzinfo=timezone(timedelta(hours=8))),
            "2025-12-02T10:30:00Z",
        ),
    ],
)
def test_wire(moment: datetime, text: str) -> None:
    """On the wire a moment is ISO 8601 in UTC with Z; microseconds show when not zero."""
    assert clock.wire(moment) == text


def test_no_other_clock() -> None:
    """Nothing in the package asks another clock for a moment."""
    package = Path(maimconfig.__file__).parent
    other = re.compile(
        r"datetime\.(?:now|utcnow|today)\(|date\.today\(|func\.now\(|CURRENT_TIMESTAMP"
    )
    asking = [
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if other.search(file.read_text("utf-8"))
    ]
    assert asking == ["clock.py"]
