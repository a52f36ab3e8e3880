"""User-facing text in Chinese and English, and which of the two a caller reads."""

from __future__ import annotations

from typing import Any, Literal

Locale = Literal["zh", "en"]


class Text(str):
    """A Chinese text that knows its English.

    It is a `str` so that libraries which format and collect messages (marshmallow) carry it
    along unchanged until the answer is written.
    """

    __slots__ = ("en",)
    en: str

    def __new__(cls, zh: str, en: str) -> Text:
        text = super().__new__(cls, zh)
        text.en = en
        return text

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        """What a copy is made from."""
        return str(self), self.en

    def format(self, *args: Any, **kwargs: Any) -> Text:
        """The text with both languages filled in."""
        return Text(super().format(*args, **kwargs), self.en.format(*args, **kwargs))


def localized(value: Any, locale: Locale) -> Any:
    """`value` with every `Text` in it, however deep, in the given language."""
    if isinstance(value, Text):
        return value.en if locale == "en" else str(value)
    if isinstance(value, dict):
        return {str(key): localized(item, locale) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [localized(item, locale) for item in value]
    return value
