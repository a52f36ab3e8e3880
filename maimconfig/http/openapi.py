"""The OpenAPI document of a plane, Swagger UI and ReDoc with assets from the package."""

from __future__ import annotations

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint as FlaskBlueprint
from flask import Flask, render_template

from maimconfig import __version__
from maimconfig.http import fields
from maimconfig.http.envelope import ErrorEnvelope

_DESCRIPTIONS = {
    "internal": "Control plane, for services on the trusted network.",
    "public": "For browsers, front ends and bots: every call checks a login or an API key.",
}


class Api(flask_smorest.Api):
    """flask-smorest's Api, with this service's errors; its handlers are ours."""

    ERROR_SCHEMA = ErrorEnvelope
    DEFAULT_ERROR_RESPONSE_NAME = None

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
