"""The error shape of /v1, which is OpenAI's: {"error": {message, type, param, code}}.

Types, codes and statuses are OpenAI's own where it has them (platform.openai.com, "Error codes"):
its clients choose the exception that they raise by the status. Elsewhere `code` is our error_code.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from marshmallow import Schema, fields

from maimconfig.http import errors as tree
from maimconfig.http.errors import AppError
from maimconfig.http.fields import REQUIRED
from maimconfig.i18n import Locale, Text, localized

PREFIX = "/v1"

_REQUEST = "invalid_request_error"


class Case(NamedTuple):
    """What an error is to callers of /v1.

    Attributes:
        status: of HTTP; 400 for what is 422 elsewhere, 401 for a key that isn't one.
    """

    status: int
    type: str
    code: str


def case_of(error: AppError | type[AppError]) -> Case:
    """Status, type and code of an error, or of a class of them."""
    kind = error if isinstance(error, type) else type(error)
    if issubclass(kind, tree.Unauthenticated | tree.KeyFormatInvalid):
        return Case(401, _REQUEST, "invalid_api_key")
    if issubclass(kind, tree.AgentNotFound):
        return Case(kind.status, _REQUEST, "model_not_found")
    if issubclass(kind, tree.QuotaExceeded):
        return Case(kind.status, "insufficient_quota", "insufficient_quota")
    if issubclass(kind, tree.RateLimited):
        return Case(kind.status, "rate_limit_error", "rate_limit_exceeded")
    if issubclass(kind, tree.Invalid):
        return Case(400, _REQUEST, _invalid(error))
    return Case(kind.status, "server_error" if kind.status >= 500 else _REQUEST, kind.code)


def body_of(error: AppError, locale: Locale) -> dict[str, Any]:
    """The body of an error's answer, or the data of the event that ends a stream."""
    case = case_of(error)
    reason = localized(error.reason, locale)
    if not isinstance(error.reason, Text):  # a bare fact, such as the limit
        reason = f"{localized(error.text, locale)}: {reason}"
    return {
        "error": {
            "message": reason,
            "type": case.type,
            "param": _param(error, case),
            "code": case.code,
        }
    }


def headers_of(error: AppError) -> dict[str, str]:
    """The headers of an error's answer."""
    challenge = {"WWW-Authenticate": "Bearer"} if case_of(error).status == 401 else {}
    return {**error.headers, **challenge}


def is_openai(path: str) -> bool:
    """Whether a path is answered in OpenAI's shape."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _invalid(error: AppError | type[AppError]) -> str:
    if (error if isinstance(error, type) else type(error)) is not tree.Invalid:
        return error.code
    details = (not isinstance(error, type) and error.details) or {}
    first = next(iter(details.values()), ())
    return "missing_required_parameter" if REQUIRED in first else "invalid_value"


def _param(error: AppError, case: Case) -> str | None:
    if case.code == "model_not_found":
        return "model"
    return next(iter(error.details), None) if error.details else None


class OpenAIErrorDetail(Schema):
    """What went wrong, as OpenAI's API says it."""

    message = fields.String(required=True, metadata={"description": "For people."})
    type = fields.String(required=True)
    param = fields.String(
        required=True, allow_none=True, metadata={"description": "Path of the field."}
    )
    code = fields.String(required=True)


class OpenAIError(Schema):
    """Every error of /v1."""

    error = fields.Nested(OpenAIErrorDetail, required=True)
