"""The application factory: one plane of the service as a WSGI app."""

from __future__ import annotations

from flask import Flask

from maimconfig.http.access import init_access
from maimconfig.http.context import init_context
from maimconfig.http.error_handlers import init_error_handlers
from maimconfig.http.json import OrjsonProvider
from maimconfig.http.openapi import init_openapi
from maimconfig.http.paths import IdConverter
from maimconfig.planes import Plane, mounts_of
from maimconfig.runtime import Runtime
from maimconfig.settings import load_settings


def create_app(plane: Plane, runtime: Runtime | None = None) -> Flask:
    """Make the app of one plane; a path that the plane doesn't serve is a plain 404 there.

    Args:
        plane: `internal` or `public`.
        runtime: the running service that several planes may share; opened from the
            environment's settings when None.
    """
    runtime = runtime or Runtime.open(load_settings())
    app = Flask("maimconfig", static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.converters["id"] = IdConverter
    app.config["MAX_CONTENT_LENGTH"] = runtime.settings.max_body_bytes
    app.json = OrjsonProvider(app)
    init_context(app, runtime, plane)
    init_access(app, plane)
    init_error_handlers(app)
    api = init_openapi(app, plane)
    for mount in mounts_of(plane):
        api.register_blueprint(mount.blueprint())
    return app
