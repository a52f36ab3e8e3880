"""How bodies and queries become arguments: strict JSON, true errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, request
from marshmallow import EXCLUDE, Schema, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from maimconfig.http import json
from maimconfig.http.errors import Invalid
from maimconfig.http.schema import flat

View = Callable[..., Any]


def json_body(request: Request) -> Any:
    """The request's JSON; an empty body counts as an empty object.

    Raises:
        UnsupportedMediaType: there is a body and it isn't declared as JSON.
        BadRequest, Invalid: see `json.loads`.
    """
    body = request.get_data(cache=True)
    if not body or body.isspace():
        return {}
    if not request.is_json:
        raise UnsupportedMediaType
    return json.loads(body)


class StrictParser:
    """What flask-smorest asks for arguments: a body or a query, loaded by a schema.

    It stands in for webargs' parser, which reads JSON leniently and costs as much as the rest of
    a request.
    """

    DEFAULT_VALIDATION_STATUS = 422

    def use_args(self, schema: Schema, *, location: str, **_: Any) -> Callable[[View], View]:
        """Decorate a view with what `schema` loads from `json` or `query`.

        Raises:
            Invalid: on the call, with every field that is wrong.
        """
        load = {"json": _load_body, "query": _load_query}[location]

        def decorator(view: View) -> View:
            @wraps(view)
            def run(*arguments: Any, **path: Any) -> Any:
                try:
                    loaded = load(schema)
                except ValidationError as error:
                    raise Invalid(details=flat(error.messages)) from error
                return view(*arguments, loaded, **path)

            return run

        return decorator


def _load_body(schema: Schema) -> Any:
    return schema.load(json_body(request))


def _load_query(schema: Schema) -> Any:
    # A query may carry what others need, such as a cache buster.
    return schema.load(request.args.to_dict(), unknown=EXCLUDE)
