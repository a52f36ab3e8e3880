"""docs/realtime.md says what the gateway does."""

from __future__ import annotations

from pathlib import Path

from maimconfig.realtime import document, frames
from maimconfig.runtime import Runtime
from tests.factories.conversations import talk

PAGE = Path(__file__).parent.parent.parent / "docs" / "realtime.md"


def test_is_of_this_version() -> None:
    """The page is what the types of the frames make of it."""
    assert PAGE.read_text("utf-8") == document.page()


def test_says_all() -> None:
    """Each frame, error code and close code of the gateway has its place in the page."""
    page = document.page()
    for name in (*frames.FROM_CLIENT, *frames.FROM_SERVER):
        assert f"\n### {name}\n" in page
    for code in (*frames.ERROR_DOCS, *map(int, frames.CloseCode)):
        assert f"| `{code}` |" in page or f"| {code} |" in page


def test_messages(runtime: Runtime) -> None:
    """The fields of a message are those that a message has."""
    assert set(talk(runtime).say()) == set(frames.MESSAGE_DOCS)
