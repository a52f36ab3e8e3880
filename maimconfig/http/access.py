"""Who may call: the internal plane's optional shared token."""

from __future__ import annotations

import hmac

from flask import Flask, request

from maimconfig.http.context import runtime
from maimconfig.http.errors import TokenInvalid

# What a load balancer or a process monitor asks for stays open: it tells nothing of anybody.
_ALWAYS_OPEN = frozenset({"/health", "/health/live", "/health/ready"})


def init_access(app: Flask, plane: str) -> None:
    """Lock the internal plane when MAIMCONFIG_INTERNAL_TOKEN is set."""
    if plane == "internal":
        app.before_request(_require_internal_token)


def _require_internal_token() -> None:
    token = runtime().settings.internal_token
    if token is None or request.path in _ALWAYS_OPEN:
        return
    sent = request.headers.get("Authorization", "").encode()
    if not hmac.compare_digest(sent, f"Bearer {token}".encode()):
        raise TokenInvalid
