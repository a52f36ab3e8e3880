"""Every error becomes the error envelope, on /v1 OpenAI's; the unexpected is logged and shown as
SYS_001.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from flask import Flask, Response, current_app, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from maimconfig.db.session import is_outage
from maimconfig.http import errors as tree
from maimconfig.http import openai_errors
from maimconfig.http.context import current, locale
from maimconfig.http.envelope import failure
from maimconfig.http.errors import AppError

log = structlog.get_logger(__name__)

_BY_STATUS: dict[int, type[AppError]] = {
    error.status: error
    for error in (
        tree.BadRequest,
        tree.NotFound,
        tree.MethodNotAllowed,
        tree.PayloadTooLarge,
        tree.UnsupportedMedia,
    )
}


def init_error_handlers(app: Flask) -> None:
    """Answer every error of `app` in the contract's shape."""
    app.register_error_handler(AppError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(Exception, _unexpected)


def _known(error: AppError) -> Response:
    if error.internal:
        log.info("error", code=error.code, internal=error.internal, request_id=current().request_id)
    return _answer(error)


def _http(error: HTTPException) -> Response:
    known = _BY_STATUS.get(error.code or 500)
    if known is None:
        known = tree.BadRequest if (error.code or 500) < 500 else tree.InternalError
    answer = _answer(known())
    answer.headers.extend(_allow(error))
    return answer


def _database(error: DBAPIError) -> Response:
    return _answer(tree.DatabaseUnavailable()) if is_outage(error) else _unexpected(error)


def _unexpected(error: Exception) -> Response:
    log.error("unexpected", request_id=current().request_id, path=request.path, exc_info=error)
    return _answer(tree.InternalError())


def _answer(error: AppError) -> Response:
    if openai_errors.is_openai(request.path):
        status = openai_errors.case_of(error).status
        body = openai_errors.body_of(error, locale())
        return _response(body, status, openai_errors.headers_of(error))
    body = failure(error)
    if request.path.startswith("/api/v1"):
        body["detail"] = body["message"]
    return _response(body, error.status, error.headers)


def _response(body: dict[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    response: Response = current_app.json.response(body)  # type: ignore[assignment]
    response.status_code = status
    response.headers.update(headers)
    return response


def _allow(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name == "Allow"}
