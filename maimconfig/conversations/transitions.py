"""Which changes of a conversation's status there are: a pure table."""

from __future__ import annotations

from maimconfig.http.errors import TransitionForbidden
from maimconfig.i18n import Text

# closed is final.
ALLOWED: dict[str, tuple[str, ...]] = {
    "open": ("pending", "resolved", "closed"),
    "pending": ("open", "resolved", "closed"),
    "resolved": ("open", "closed"),
    "closed": (),
}
STATUSES = tuple(ALLOWED)

FORBIDDEN = Text("不能从 {} 变为 {}", "It can't go from {} to {}")


def may_become(status: str, wanted: str) -> bool:
    """Whether a conversation may change so; staying as it is isn't a change, and may be."""
    return status == wanted or wanted in ALLOWED[status]


def require(status: str, wanted: str) -> None:
    """Refuse a change that there isn't.

    Raises:
        TransitionForbidden: a conversation doesn't change so.
    """
    if not may_become(status, wanted):
        raise TransitionForbidden(FORBIDDEN.format(status, wanted))
