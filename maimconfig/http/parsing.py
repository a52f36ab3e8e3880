"""How bodies and queries become arguments: strict JSON, true errors."""

from __future__ import annotations

from typing import Any, NoReturn

from flask import Request
from marshmallow import Schema, ValidationError
from webargs.core import is_json, missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from maimconfig.http import json
from maimconfig.http.errors import Invalid
from maimconfig.http.schema import flat


def json_body(request: Request) -> Any:
    """The request's JSON; an empty body counts as an empty object.

    Raises:
        UnsupportedMediaType: there is a body and it isn't declared as JSON.
        BadRequest, Invalid: see `json.loads`.
    """
    body = request.get_data(cache=True)
    if not body.strip():
        return {}
    if not is_json(request.mimetype):
        raise UnsupportedMediaType
    return json.loads(body)


class StrictParser(FlaskParser):
    """webargs with this API's JSON and errors."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body, parsed strictly."""
        body = json_body(req)
        return missing if body is None else body

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **_: Any
    ) -> NoReturn:
        """Refuse with every field that is wrong."""
        messages: Any = error.messages
        # webargs puts the location around the messages.
        if isinstance(messages, dict) and set(messages) <= {"json", "query", "form"}:
            messages = next(iter(messages.values()))
        raise Invalid(details=flat(messages)) from error
