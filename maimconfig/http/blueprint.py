"""The blueprint of every resource: unit of work, response style, errors and their documents.

A view says what it does; `route` runs it in a unit of work, in the style of its resource:

    blp = Blueprint("tenants", __name__, style="envelope", url_prefix="/api/v2/tenants", ...)

    @blp.post("", creates=True, errors=(TenantNameTaken,))
    @blp.arguments(TenantCreate)
    @blp.response(200, TenantOut)
    def create(payload): ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal, TypeVar

import flask_smorest
from flask import Response
from marshmallow import Schema

from maimconfig.http import context, documents, json
from maimconfig.http.envelope import envelope_of, success
from maimconfig.http.errors import AppError, NotModified
from maimconfig.http.examples import enveloped, example_of
from maimconfig.http.idempotency import answer_once
from maimconfig.http.parsing import StrictParser

View = TypeVar("View", bound=Callable[..., Any])
Style = Literal["envelope", "plain", "openai"]
Unit = Literal["read", "write", "none"]


class Blueprint(flask_smorest.Blueprint):
    """A resource's routes.

    Args:
        style: `envelope` for /api/v2 and /api/v1/usage, `openai` for /v1 (plain, with errors in
            OpenAI's shape), `plain` for the other paths.
        description: of the resource, for the documents.
    """

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, name: str, import_name: str, *, style: Style, **options: Any) -> None:
        super().__init__(name, import_name, **options)
        self.style = style
        self._undocumented: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        if style == "envelope":
            self._prepare_response_content = success
            self._make_doc_response_schema = _enveloped

    def arguments(self, schema: type[Schema] | Schema, **options: Any) -> Any:
        """Parse arguments with one instance of the schema, not with a new one each request."""
        if self.style == "openai":
            options["error_status_code"] = 400  # for the documents
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)

    def response(self, status_code: int, schema: Any = None, **options: Any) -> Any:
        """Document an answer with an example made from its schema, and write it."""
        schema = schema() if isinstance(schema, type) else schema
        respond = super().response

        def document(view: View) -> Any:
            return respond(status_code, schema, **self._example(schema), **options)(view)

        def decorator(view: View) -> Any:
            if schema is None:
                return document(view)

            @wraps(view)
            def run(*args: Any, **kwargs: Any) -> Any:
                result = view(*args, **kwargs)
                if isinstance(result, Response):
                    return result
                body, status = result if type(result) is tuple else (result, status_code)
                return json.response(self._prepare_response_content(schema.dump(body)), status)

            return _documented(run, document)

        return decorator

    def alt_response(self, status_code: int, response: Any = None, **options: Any) -> Any:
        """Document another answer, with an example made from its schema."""
        schema = options.pop("schema", None)
        schema = schema() if isinstance(schema, type) else schema
        respond = super().alt_response

        def document(view: View) -> Any:
            documented = {"schema": schema, **self._example(schema), **options}
            return respond(status_code, response, **documented)(view)

        return lambda view: _documented(view, document)

    def _example(self, schema: Any) -> dict[str, Any]:
        if not isinstance(schema, Schema):
            return {}
        example = example_of(schema)
        return {"example": enveloped(example) if self.style == "envelope" else example}

    def route(
        self,
        rule: str,
        *,
        unit: Unit | None = None,
        creates: bool = False,
        etag: bool = False,
        first: Callable[[], Any] | None = None,
        errors: Sequence[type[AppError]] = (),
        **options: Any,
    ) -> Callable[[View], View]:
        """Mount a view.

        Args:
            rule: the path below the blueprint's prefix.
            unit: `read` or `write` opens a unit of work, `none` leaves that to the view; GET
                reads and everything else writes unless told otherwise.
            creates: an Idempotency-Key is honoured.
            etag: the view gives or checks an ETag (for the documents).
            first: called before the unit of work begins, for what no transaction should wait for;
                its result is `current().prepared`.
            errors: which the view raises (for the documents).
        """
        methods = options.get("methods", ["GET"])
        kind = unit or ("read" if methods == ["GET"] else "write")
        mount = super().route(rule, **options)

        def document(view: View) -> Any:
            return documents.describe(
                view,
                methods[0],
                errors=errors,
                creates=creates,
                etag=etag,
                database=kind != "none",
                openai=self.style == "openai",
            )

        def decorator(view: View) -> View:
            mount(_in_unit(_documented(view, document), kind, creates, first))
            return view

        return decorator

    def _store_endpoint_docs(
        self, endpoint: str, view: Callable[..., Any], *arguments: Any, **options: Any
    ) -> None:
        """Not yet: what the documents hold takes a service that nobody asks for them 5 MB."""
        self._undocumented.append((view, (endpoint, *arguments), options))

    def register_views_in_doc(self, *arguments: Any, **options: Any) -> None:
        """Document the views of this resource, which all have been mounted by now."""
        undocumented, self._undocumented = self._undocumented, []
        for view, (endpoint, *others), method in undocumented:
            documented = view
            for document in getattr(view, "_documents", ()):
                documented = document(documented)
            super()._store_endpoint_docs(endpoint, documented, *others, **method)
        super().register_views_in_doc(*arguments, **options)


def _documented(view: View, document: Callable[[View], Any]) -> View:
    """Note a decorator for the time when the documents are made."""
    view._documents = (*getattr(view, "_documents", ()), document)  # type: ignore[attr-defined]
    return view


def _in_unit(
    view: Callable[..., Response], unit: Unit, creates: bool, first: Callable[[], Any] | None
) -> Callable[..., Response]:
    @wraps(view)
    def run(**arguments: Any) -> Response:
        if first is not None:
            context.current().prepared = first()

        def work(session: Any) -> Response:
            context.current().session = session
            if creates:
                return answer_once(session, session.actor.name, lambda: view(**arguments))
            return view(**arguments)

        try:
            if unit == "none":
                return view(**arguments)
            if unit == "read":
                return context.runtime().read(work)
            return context.runtime().write(work, context.actor())
        except NotModified:
            context.current().varies.add("Accept-Language")  # as the answer that it stands for
            return Response(status=304)

    return run


def _enveloped(schema: Any) -> Any:
    return envelope_of(schema) if isinstance(schema, Schema) else schema
