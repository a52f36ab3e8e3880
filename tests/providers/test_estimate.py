"""The estimate of tokens."""

from __future__ import annotations

import pytest

from maimconfig.providers import estimate


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("a", 1), ("Hello there!", 4), ("你", 1), ("你好世界" * 5, 12), ("你好 ok", 3)],
)
def test_text(text: str, count: int) -> None:
    """A wide character is 0.6 tokens, a narrow one 0.3, rounded up."""
    assert estimate.tokens(text) == count


def test_messages() -> None:
    """A message costs four more; a part that isn't text, nothing."""
    parts = [{"type": "text", "text": "Hello there!"}, {"type": "image_url"}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    assert estimate.prompt_tokens(messages) == 12
