"""Messages as they are read: the form on the wire, and pages of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maimconfig.db.session import Session


def after(
    session: Session, conversation_id: str, position: int, *, private: bool, limit: int = 500
) -> Sequence[dict[str, Any]]:
    """What a conversation has after a position, in order.

    Args:
        private: whether notes are wanted too.

    Returns:
        messages as they are shown, each with its `position`.
    """
    raise NotImplementedError
