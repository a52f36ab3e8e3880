"""Logs: structlog as JSON or for the console, one line an event, and never a secret."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import orjson
import structlog

from maimconfig import clock
from maimconfig.log_file import Lines, LogFile
from maimconfig.settings import Settings, SettingsError

# Whatever looks like an API key, a refresh token, a JWT or a bearer token is cut, wherever it
# stands. Of a refresh token its session's id is kept, which opens nothing.
_SECRETS = re.compile(
    r"(mmc_[A-Za-z0-9+/=_]{4})[A-Za-z0-9+/=_-]+"
    r"|(mmr_(?:login_[a-z0-9]+\.)?)[A-Za-z0-9._-]+"
    # A JWT begins only where a word does: else a long word of eyJeyJeyJ takes quadratic time.
    r"|(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*eyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"
    r"|((?i:bearer)\s+)\S+"
)
_MARKS = ("mmc_", "mmr_", "eyJ")
# As structlog.processors.add_log_level names them.
_NAMES = {"warn": "warning", "exception": "error"}
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


def configure(settings: Settings) -> None:
    """Send structlog's and the standard library's lines to where the settings say."""
    out = _opened(settings)
    as_json = (settings.log_format or ("console" if out.isatty() else "json")) == "json"
    level = _LEVELS[settings.log_level]
    structlog.configure(
        processors=[_json_line] if as_json else _console(out),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, out)),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(level, logging.WARNING), force=True)


def redact(value: Any) -> Any:
    """The value with API keys and tokens cut out of every text in it, however deep it lies."""
    if isinstance(value, str):
        return _SECRETS.sub(r"\1\2\3********", value) if _may_tell(value) else value
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, dict):
        return {redact(name): redact(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(part) for part in value]
    return redact(str(value))


def place_of(error: BaseException) -> str:
    """File and line where an error was raised, for a log that must not hold its text."""
    *_, innermost = traceback.extract_tb(error.__traceback__)
    return f"{innermost.filename}:{innermost.lineno}"


def _may_tell(text: str) -> bool:
    """To look first is ten times cheaper than the pattern."""
    for mark in _MARKS:
        if mark in text:
            return True
    return "bearer" in text.lower()


def _opened(settings: Settings) -> TextIO | Lines:
    if settings.log_file is None:
        return _stderr()
    try:
        return LogFile(
            settings.log_file,
            max_bytes=settings.log_file_max_mb * 1_000_000,
            keep=settings.log_file_keep,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(f"MAIMCONFIG_LOG_FILE can't be used: {error}.") from error


def _stderr() -> TextIO | Lines:
    try:
        # Python's own would raise where the disk behind it is full, in whoever logs something.
        return Lines(sys.stderr.fileno())
    except OSError:  # somebody has put a text in memory there
        return sys.stderr


def _json_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    # One function for what structlog has five: a request that takes 200 us waits for its line.
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    event["level"] = _NAMES.get(method, method)
    event["timestamp"] = clock.wire(clock.now())
    line = _dumped(event)
    # Most lines hold nothing of the kind; one that may is taken apart.
    return _dumped(redact(event)) if _may_tell(line) else line


def _dumped(event: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _console(out: TextIO | Lines) -> list[Any]:
    line = structlog.dev.ConsoleRenderer(colors=out.isatty())
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda _logger, _method, event: redact(event),
        line,
    ]


class _ToStructlog(logging.Handler):
    """Lines of libraries, in the same shape as our own."""

    def emit(self, record: logging.LogRecord) -> None:
        # structlog knows no levels but the standard ones; a library may have others.
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(
            level, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )
