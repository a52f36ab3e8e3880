"""What the tests of sessions share."""

from __future__ import annotations

from tests.conversations.conftest import nobody_answers, script

__all__ = ["nobody_answers", "script"]
