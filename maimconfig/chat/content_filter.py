"""The content filter: messages that an agent never sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maimconfig.chat.patterns import search


def drops(rules: Mapping[str, Any], message: str) -> bool:
    """Whether a message is to be dropped.

    Args:
        rules: config_overrides.message_receive of an effective configuration.
        message: as the user wrote it; words are looked for exactly.
    """
    if any(word and word in message for word in rules.get("ban_words") or ()):
        return True
    return any(
        search(pattern, message) is not None for pattern in rules.get("ban_msgs_regex") or ()
    )
