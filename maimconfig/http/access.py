"""Who may call: what planes.py says of an operation is asked before it runs."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from flask import Flask

from maimconfig.http.context import current, note_login
from maimconfig.http.errors import NotFound, RoleForbidden, TokenInvalid
from maimconfig.planes import Access, Plane, mounts_of
from maimconfig.users.login import authenticate

# What a load balancer or a process monitor asks for stays open: it tells nothing of anybody.
_ALWAYS_OPEN = frozenset({"/health", "/health/live", "/health/ready"})

# The documents of a plane.
_DOCUMENTS = frozenset({"docs", "api-docs"})


def init_access(app: Flask, plane: Plane, internal_token: str | None) -> None:
    """Ask every caller for what planes.py says; call it after the blueprints are mounted.

    Args:
        internal_token: locks the internal plane's operations that need no login.
    """
    table = dict(_table(app, plane))
    expected = (
        f"Bearer {internal_token}".encode() if plane == "internal" and internal_token else None
    )

    def require() -> None:
        request = current().request
        endpoint = request.endpoint
        access = table.get(endpoint or "")
        if access is not None and access.kind == "login":
            # A browser's preflight shows no token, and is told nothing but the methods.
            if request.method != "OPTIONS":
                _require_login(access.permission)
        elif access is not None and access.kind in ("session", "key"):
            pass  # the view itself asks for what is needed, in the header that the token needs
        elif expected is not None and request.path not in _ALWAYS_OPEN:
            _require_token(expected)
        elif endpoint and access is None and endpoint.partition(".")[0] not in _DOCUMENTS:
            raise NotFound(internal=f"{endpoint} has no row in planes.py")

    app.before_request(require)


def _table(app: Flask, plane: Plane) -> Iterator[tuple[str, Access]]:
    mounts = {mount.blueprint().name: mount for mount in mounts_of(plane)}
    for endpoint in app.view_functions:
        blueprint, _, view = endpoint.partition(".")
        if blueprint in mounts:
            yield endpoint, mounts[blueprint].access_of(view, plane)


def _require_token(expected: bytes) -> None:
    sent = current().request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(sent, expected):
        raise TokenInvalid


def _require_login(permission: str | None) -> None:
    scheme, _, token = current().request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenInvalid
    login = authenticate(current().runtime, token.strip())
    note_login(login)
    if permission is not None and not login.may(permission):
        raise RoleForbidden(permission)
