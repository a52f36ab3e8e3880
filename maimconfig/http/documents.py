"""What the OpenAPI document says of an operation beyond its own schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from maimconfig.http import errors as tree
from maimconfig.http import openai_errors
from maimconfig.http.envelope import ErrorEnvelope
from maimconfig.http.errors import AppError
from maimconfig.http.examples import MOMENT, REQUEST_ID

_HEADER = {"in": "header", "required": False, "schema": {"type": "string"}}
IDEMPOTENCY_KEY = _HEADER | {
    "name": "Idempotency-Key",
    "description": "The same key and body within 24 h return the first answer, once.",
}
IF_MATCH = _HEADER | {
    "name": "If-Match",
    "description": "The ETag that the change is made from; another one is refused with 412.",
}
IF_NONE_MATCH = _HEADER | {
    "name": "If-None-Match",
    "description": "The ETag that the caller has; the same one answers 304.",
}


def describe(
    view: Callable[..., Any],
    method: str,
    *,
    errors: Sequence[type[AppError]],
    creates: bool,
    etag: bool,
    database: bool,
    openai: bool = False,
) -> Callable[..., Any]:
    """Add an operation's headers and errors to what flask-smorest documents of it.

    Args:
        view: decorated by flask-smorest; its document is extended in place.
        method: GET, POST, PUT or DELETE.
        errors: what the view raises.
        creates: whether an Idempotency-Key is honoured.
        etag: whether an ETag is given (GET) or checked (PUT, DELETE).
        database: whether the view needs the database.
        openai: whether errors have OpenAI's shape.
    """
    apidoc: dict[str, Any] = view.__dict__.setdefault("_apidoc", {})
    parameters = apidoc.setdefault("arguments", {}).setdefault("parameters", [])
    takes = {parameter["in"] for parameter in parameters}
    if creates:
        parameters.append(IDEMPOTENCY_KEY)
    if etag:
        parameters.append(IF_NONE_MATCH if method == "GET" else IF_MATCH)
    responses = apidoc.setdefault("manual_doc", {}).setdefault("responses", {})
    raised = [*errors, *_usual(method, takes, creates, etag, database)]
    documented = _openai_responses(raised) if openai else _responses(raised)
    responses.update(documented)
    if etag and method == "GET":
        responses[304] = {"description": HTTPStatus(304).phrase}
    return view


def _usual(
    method: str, takes: set[str], creates: bool, etag: bool, database: bool
) -> Iterator[type[AppError]]:
    yield tree.TokenInvalid
    if "json" in takes:
        yield from (tree.BadRequest, tree.PayloadTooLarge, tree.UnsupportedMedia)
    if takes & {"json", "query"}:
        yield tree.Invalid
    if creates:
        yield tree.IdempotencyKeyReused
    if etag and method != "GET":
        yield tree.PreconditionFailed
    yield tree.InternalError
    if database:
        yield tree.DatabaseUnavailable


def _responses(errors: Sequence[type[AppError]]) -> dict[int, Any]:
    return {status: _error_response(cases) for status, cases in _by_status(errors)}


def _openai_responses(errors: Sequence[type[AppError]]) -> dict[int, Any]:
    found: dict[int, dict[str, type[AppError]]] = {}
    for error in errors:
        case = openai_errors.case_of(error)
        found.setdefault(case.status, {}).setdefault(case.code, error)
    return {status: _openai_response(cases) for status, cases in sorted(found.items())}


def _openai_response(cases: Mapping[str, type[AppError]]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"{code}: {case.text.en}" for code, case in cases.items()),
        "content": {
            "application/json": {
                "schema": openai_errors.OpenAIError,
                "examples": {
                    code: {"value": _openai_example(case)} for code, case in cases.items()
                },
            }
        },
    }


def _openai_example(case: type[AppError]) -> dict[str, Any]:
    _, kind, code = openai_errors.case_of(case)
    said = {"message": str(case.text), "type": kind, "param": None, "code": code}
    return {"error": said}


def _by_status(errors: Sequence[type[AppError]]) -> list[tuple[int, list[type[AppError]]]]:
    found: dict[int, list[type[AppError]]] = {}
    for error in errors:
        cases = found.setdefault(error.status, [])
        if error.code not in {case.code for case in cases}:
            cases.append(error)
    return sorted(found.items())


def _error_response(cases: Sequence[type[AppError]]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"{case.code}: {case.text.en}" for case in cases),
        "content": {
            "application/json": {
                "schema": ErrorEnvelope,
                "examples": {case.code: {"value": _example(case)} for case in cases},
            }
        },
    }


def _example(case: type[AppError]) -> dict[str, Any]:
    return {
        "success": False,
        "message": str(case.text),
        "error": str(case.text),
        "error_code": case.code,
        "timestamp": MOMENT,
        "request_id": REQUEST_ID,
    }
