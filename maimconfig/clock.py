"""The one clock: every time that is stored or compared comes from here."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

UTC = timezone.utc
# Clocks of machines differ by less; a stored moment that is later was written before a clock was
# set back, and nobody shall wait until it comes round again.
AHEAD = timedelta(seconds=60)


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def wire(moment: datetime) -> str:
    """ISO 8601 with `Z`; microseconds are shown when not zero (contract, Objects)."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
