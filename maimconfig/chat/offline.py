"""The reply of the built-in offline provider, for when no other is configured."""

from __future__ import annotations

from collections.abc import Sequence


def reply(nickname: str, message: str, reactions: Sequence[str]) -> str:
    """The reactions to a message, else its echo under the agent's nickname."""
    return "\n".join(reactions) if reactions else f"{nickname}: {message}"
