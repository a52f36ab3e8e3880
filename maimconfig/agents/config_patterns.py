"""Whether tenants' regular expressions compile, at a cost that has a limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from maimconfig.agents import config_texts as texts
from maimconfig.i18n import Text

# One body of 1 MiB can hold patterns that take re2 an hour to compile: with its own limit of
# memory nine characters (`\pL{1000}`) took 60 ms and 8 MiB, and parsing alone took 25 ms for
# 750 characters. With these three limits the worst that was found takes 1 s.
MAX_PATTERNS: Final = 200
MAX_CHARACTERS: Final = 20_000
MAX_MEMORY: Final = 256 * 1024


def pattern_problems(patterns: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Text]]:
    """The patterns that can't be used.

    Args:
        patterns: pairs of path and pattern, of one configuration.

    Yields:
        pairs of path and text; the last one when there are too many patterns.
    """
    characters = 0
    for count, (path, pattern) in enumerate(patterns):
        characters += len(pattern)
        if count == MAX_PATTERNS or characters > MAX_CHARACTERS:
            yield (
                path,
                texts.TOO_MANY_PATTERNS.format(patterns=MAX_PATTERNS, characters=MAX_CHARACTERS),
            )
            return
        try:
            compiled(pattern)
        except PatternUnusable as error:
            yield path, texts.PATTERN_UNUSABLE.format(reason=error)


class PatternUnusable(ValueError):
    """A pattern doesn't compile; the text says why."""


def compiled(pattern: str) -> Any:
    """The pattern, ready to search with.

    Raises:
        PatternUnusable: it doesn't compile, or takes more memory than it may.
    """
    # Loaded with the first pattern: 2.5 MB, and most services have none.
    import re2  # type: ignore[import-untyped, unused-ignore]

    options = re2.Options()
    # re2 would write the tenant's pattern to stderr.
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PatternUnusable(_reason(error)) from error


def _reason(error: Exception) -> str:
    """re2's own words without the piece of the pattern that follows them."""
    if isinstance(error, UnicodeEncodeError):
        return "invalid UTF-8"
    return str(error.args[0], "utf-8", "replace").partition(":")[0]
