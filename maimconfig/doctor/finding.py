"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        level: an error keeps the service from working; a warning may one day.
        subject: what was looked at.
        text: what was found.
        advice: one sentence that says what to do; empty where all is well.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.subject:<11} {self.text}"
        return f"{line}. {self.advice}" if self.advice else line


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, text)


def warning(subject: str, text: str, advice: str) -> Finding:
    """It works, but may not always."""
    return Finding("warning", subject, text, advice)


def error(subject: str, text: str, advice: str) -> Finding:
    """It can't work so."""
    return Finding("error", subject, text, advice)
