"""How bodies and queries become arguments: strict JSON, true errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError

from maimconfig.http import json
from maimconfig.http.application import BodyRequest
from maimconfig.http.context import current
from maimconfig.http.errors import Invalid, UnsupportedMedia
from maimconfig.http.schema import flat
from maimconfig.i18n import Text

JSON = "application/json"
# A page's FormData goes out in parts; OAuth2 clients send the other.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

COMPRESSED = Text(
    "不接受压缩的请求体，请勿使用Content-Encoding",
    "A compressed body is not taken: send it without Content-Encoding",
)

View = Callable[..., Any]


def json_body(request: BodyRequest) -> Any:
    """The request's JSON; an empty body counts as an empty object.

    Raises:
        UnsupportedMedia: there is a body, and it isn't declared as JSON or is compressed.
        BadRequest, Invalid: see `json.loads`.
    """
    body = request.body
    if not body or body.isspace():
        return {}
    if request.environ.get("CONTENT_TYPE") != JSON and not request.is_json:
        raise UnsupportedMedia
    _refuse_compressed(request)
    return json.loads(body)


def _refuse_compressed(request: BodyRequest) -> None:
    # What to send instead is said in a header too (RFC 9110, section 15.5.16).
    if request.environ.get("HTTP_CONTENT_ENCODING", "").lower() not in ("", "identity"):
        raise UnsupportedMedia(COMPRESSED, headers={"Accept-Encoding": "identity"})


class StrictParser:
    """What flask-smorest asks for arguments: a body or a query, loaded by a schema.

    It stands in for webargs' parser, which reads JSON leniently and costs as much as the rest of
    a request.
    """

    DEFAULT_VALIDATION_STATUS = 422

    def use_args(
        self, schema: Schema, *, location: str, form: bool = False, **_: Any
    ) -> Callable[[View], View]:
        """Decorate a view with what `schema` loads from `json` or `query`.

        Args:
            form: whether the body may be an HTML form too.

        Raises:
            Invalid: on the call, with every field that is wrong.
        """
        load = {"json": load_form_or_body if form else load_body, "query": load_query}[location]

        def decorator(view: View) -> View:
            # Past the library's own wrapper, which only asks for coroutines.
            call = getattr(view, "__wrapped__", view)

            @wraps(view)
            def run(*arguments: Any, **path: Any) -> Any:
                return call(*arguments, load(schema), **path)

            return run

        return decorator


def load_body(schema: Schema) -> Any:
    """What a schema loads from the JSON body.

    Raises:
        Invalid: with every field that is wrong.
    """
    return loaded(schema, json_body(current().request))


def load_form_or_body(schema: Schema) -> Any:
    """What a schema loads from an HTML form or the JSON body.

    Raises:
        Invalid: with every field that is wrong.
    """
    asked = current().request
    if asked.mimetype in FORMS:
        _refuse_compressed(asked)
        return loaded(schema, asked.form.to_dict())
    return load_body(schema)


def load_query(schema: Schema) -> Any:
    """What a schema loads from the query; what others put there besides is passed over.

    Raises:
        Invalid: with every field that is wrong.
    """
    return loaded(schema, current().request.args.to_dict(), unknown=EXCLUDE)


def loaded(schema: Schema, data: Any, **options: Any) -> Any:
    """What a schema loads from a value.

    Raises:
        Invalid: with every field that is wrong.
    """
    try:
        return schema.load(data, **options)
    except ValidationError as error:
        raise Invalid(details=flat(error.messages)) from error
