"""What the tests of conversations share."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from maimconfig.chat import asking
from maimconfig.conversations.answering import Answering
from maimconfig.runtime import Runtime
from tests.chat.script import Script


@pytest.fixture
def nobody_answers(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed stays owed: this process isn't one that answers."""
    monkeypatch.setattr(Answering, "wake", lambda self: None)
    # An earlier test may have started it, and it looks by itself.
    monkeypatch.setattr(runtime.answering, "_claim", lambda: False)


@pytest.fixture
def script(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Providers that do what the test says."""
    made = Script()
    monkeypatch.setattr(runtime, "providers", made)
    monkeypatch.setattr(asking, "targets", lambda *given: made.targets())
    monkeypatch.setattr(asking, "estimate", lambda messages: made.estimate(messages))
    return made


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
