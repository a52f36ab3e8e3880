"""The envelope of /api/v2 and of every error: wire and OpenAPI from one place."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from maimconfig import clock
from maimconfig.http import context
from maimconfig.http.errors import AppError
from maimconfig.i18n import Locale, Text, localized

SUCCESS = Text("操作成功", "Success")


def _timestamp() -> str:
    return clock.wire(clock.now().replace(microsecond=0))


def success(data: Any) -> dict[str, Any]:
    """The success envelope around `data`."""
    current = context.current()
    return {
        "success": True,
        "message": localized(SUCCESS, context.locale()),
        "data": data,
        "timestamp": _timestamp(),
        "request_id": current.request_id,
        "tenant_id": current.tenant_id,
        "execution_time": round(current.execution_time, 6),
    }


def failure(error: AppError) -> dict[str, Any]:
    """The error envelope of the current request."""
    return failure_of(error, context.locale(), context.current().request_id)


def failure_of(error: AppError, locale: Locale, request_id: str | None) -> dict[str, Any]:
    """The error envelope, also where no request is at hand any more."""
    body = {
        "success": False,
        "message": localized(error.text, locale),
        "error": localized(error.reason, locale),
        "error_code": error.code,
        "timestamp": _timestamp(),
        "request_id": request_id,
    }
    if error.details:
        body["details"] = localized(dict(error.details), locale)
    return body


class ErrorEnvelope(Schema):
    """Every error but those of /v1."""

    success = fields.Boolean(required=True, metadata={"enum": [False]})
    message = fields.String(required=True, metadata={"description": "For people."})
    error = fields.String(required=True, metadata={"description": "What exactly was wrong."})
    error_code = fields.String(required=True)
    timestamp = fields.String(required=True, metadata={"format": "date-time"})
    request_id = fields.String(required=True)
    detail = fields.String(metadata={"description": "The message again, on /api/v1."})
    details = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={"description": "Field path to messages, for validation."},
    )


_envelopes: dict[str, type[Schema]] = {}


def envelope_of(data: Schema) -> type[Schema]:
    """The schema of the success envelope around `data`; one class for each name, so that the
    OpenAPI document names it once."""
    name = type(data).__name__ + ("List" if data.many else "")
    if name not in _envelopes:
        _envelopes[name] = Schema.from_dict(
            {
                "success": fields.Boolean(required=True, metadata={"enum": [True]}),
                "message": fields.String(required=True),
                "data": fields.Nested(data, required=True),
                "timestamp": fields.String(required=True, metadata={"format": "date-time"}),
                "request_id": fields.String(required=True),
                "tenant_id": fields.String(required=True, allow_none=True),
                "execution_time": fields.Float(
                    required=True, metadata={"description": "In seconds."}
                ),
            },
            name=f"{name}Envelope",
        )
    return _envelopes[name]
