"""The application factory: one plane of the service as a WSGI app."""

from __future__ import annotations

from flask import Flask

from maimconfig.http.access import init_access
from maimconfig.http.application import Application
from maimconfig.http.browsers import init_browser_headers
from maimconfig.http.context import init_context
from maimconfig.http.error_handlers import init_error_handlers
from maimconfig.http.openapi import init_openapi
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
    app = Application(max_body_bytes=runtime.settings.max_body_bytes)
    init_context(app, runtime, plane)
    init_browser_headers(app, runtime.settings.cors_origins if plane == "public" else ())
    init_error_handlers(app)
    api = init_openapi(app, plane)
    for mount in mounts_of(plane):
        (api if mount.is_api else app).register_blueprint(mount.blueprint())
    init_access(app, plane, runtime.settings.internal_token)
    return app
