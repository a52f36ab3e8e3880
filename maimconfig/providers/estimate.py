"""How many tokens a text has, where the provider doesn't say.

The rule is DeepSeek's published one (api-docs.deepseek.com, "Token & Token Usage"): a Chinese
character is about 0.6 tokens, an English one about 0.3. Whatever is as wide as Chinese (Japanese,
Korean, full-width forms, emoji) counts like it. Each message costs 4 tokens more for its role and
its borders, as OpenAI's cookbook counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_PER_MESSAGE: Final = 4
# From U+2E80 (CJK radicals) on, scripts are wide; what is narrow there is rare.
_LAST_NARROW: Final = "\u2e7f"


def tokens(text: str) -> int:
    """Tokens of a text, rounded up; 0 for none."""
    wide = sum(map(_LAST_NARROW.__lt__, text))
    return (6 * wide + 3 * (len(text) - wide) + 9) // 10


def prompt_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    """Tokens of messages as OpenAI's API has them; parts that aren't text count nothing."""
    return sum(_PER_MESSAGE + tokens(_text(message.get("content"))) for message in messages)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))
