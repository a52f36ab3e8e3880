"""The OpenAPI document of a plane, Swagger UI and ReDoc with assets from the package."""

from __future__ import annotations

import threading
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint as FlaskBlueprint
from flask import Flask, Response, json, render_template

from maimconfig import __version__
from maimconfig.http import fields
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.envelope import ErrorEnvelope

_DESCRIPTIONS = {
    "internal": "Control plane, for services on the trusted network.",
    "public": "For browsers, front ends and bots: every call checks a login or an API key.",
}


# One at a time: the planes share their blueprints, and apispec isn't made for threads.
_making = threading.Lock()


class Api(flask_smorest.Api):
    """flask-smorest's Api, with this service's errors; its handlers are ours.

    The document is made when it is first asked for, and kept as text.
    """

    ERROR_SCHEMA = ErrorEnvelope
    DEFAULT_ERROR_RESPONSE_NAME = None
    spec: Any

    def __init__(self, app: Flask, **options: Any) -> None:
        self._blueprints: list[Blueprint] = []
        self._text: str | None = None
        super().__init__(app, **options)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Mount a resource."""
        self._app.register_blueprint(blueprint)
        self._blueprints.append(blueprint)

    def _init_spec(self, **options: Any) -> None:
        self._options = options

    def _openapi_json(self) -> Response:
        with _making:
            if self._text is None:
                self._text = self._made()
        return Response(self._text, mimetype="application/json")

    def _made(self) -> str:
        super()._init_spec(**self._options)
        for blueprint in self._blueprints:
            name = blueprint.name
            blueprint.register_views_in_doc(self, self._app, self.spec, name=name, parameters=None)
            self.spec.tag({"name": name, "description": blueprint.description})
        text = json.dumps(self.spec.to_dict(), indent=2, sort_keys=False)
        self.spec = None
        return text

    def _register_error_handlers(self) -> None:
        """Leave the errors to http.error_handlers."""

    def _register_pagination_header(self) -> None:
        """Pages are in the body; the header's schema would stand in the document unused."""


def init_openapi(app: Flask, plane: str) -> Api:
    """Serve /openapi.json, /docs and /redoc of one plane.

    Returns:
        what blueprints are registered with.
    """
    app.config.update(
        API_TITLE=f"MaimConfig {plane} API",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    api = Api(
        app,
        spec_kwargs={
            "info": {"description": _DESCRIPTIONS[plane], "license": {"name": "MIT"}},
            "marshmallow_plugin": MarshmallowPlugin(),
        },
    )
    api.register_field(fields.Moment, "string", "date-time")
    app.register_blueprint(docs)
    return api


docs = FlaskBlueprint(
    "docs",
    __name__,
    static_folder="static",
    static_url_path="/docs/static",
    template_folder="templates",
)


@docs.get("/docs")
def swagger_ui() -> str:
    """Swagger UI."""
    return render_template("docs/swagger_ui.html")


@docs.get("/redoc")
def redoc() -> str:
    """ReDoc."""
    return render_template("docs/redoc.html")
