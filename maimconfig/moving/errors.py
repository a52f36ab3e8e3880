"""What stops a move, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maimconfig.http.errors import AppError
from maimconfig.i18n import localized

_MOST = 5  # fields that a sentence names


class MovingError(Exception):
    """A file or a database can't be moved in or out; the text is one sentence that says why."""


def sentence(error: AppError) -> str:
    """An error of a service with the fields that it is about."""
    text: str = localized(error.reason, "en")
    return f"{text}: {fields(error.details)}" if error.details else text


def fields(details: Mapping[str, Any]) -> str:
    """The first few of the fields that are wrong, and what is wrong with each."""
    named = [
        f"{path}: {', '.join(localized(texts, 'en'))}" for path, texts in list(details.items())
    ]
    more = f" and {len(named) - _MOST} more" if len(named) > _MOST else ""
    return "; ".join(named[:_MOST]) + more
