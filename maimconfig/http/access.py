"""Who may call: the internal plane's optional shared token."""

from __future__ import annotations

import hmac

from flask import Flask, request

from maimconfig.http.errors import TokenInvalid

# What a load balancer or a process monitor asks for stays open: it tells nothing of anybody.
_ALWAYS_OPEN = frozenset({"/health", "/health/live", "/health/ready"})


def init_access(app: Flask, plane: str, token: str | None) -> None:
    """Lock the internal plane when there is a MAIMCONFIG_INTERNAL_TOKEN.

    Args:
        token: the shared token; None leaves the network as the only boundary.
    """
    if plane != "internal" or token is None:
        return
    expected = f"Bearer {token}".encode()

    def require_token() -> None:
        sent = request.headers.get("Authorization", "").encode()
        if request.path not in _ALWAYS_OPEN and not hmac.compare_digest(sent, expected):
            raise TokenInvalid

    app.before_request(require_token)
