"""What is told after a commit, to whoever listens to a conversation.

The database is the truth and an event only a hint: one that is lost delays, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Look:
    """Something lasting changed in a conversation: look at the database."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class Passing:
    """Something that is not kept, and lost when nobody listens.

    Attributes:
        data: of the frame that tells it, besides the conversation.
        staff_only: the contact isn't told.
    """

    conversation_id: str
    kind: Literal["typing", "read", "ai_stream"]
    data: Mapping[str, Any] = field(default_factory=dict)
    staff_only: bool = False


Event = Look | Passing
