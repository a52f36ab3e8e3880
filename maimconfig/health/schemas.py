"""What the service says of itself, on the wire."""

from __future__ import annotations

from marshmallow import fields as plain

from maimconfig.http.schema import Ready


class Links(Ready):
    """Where things are."""

    docs = plain.String(required=True)
    redoc = plain.String(required=True)
    openapi = plain.String(required=True)
    health = plain.String(required=True)
    info = plain.String(required=True)


class Root(Ready):
    """What this is."""

    name = plain.String(required=True)
    description = plain.String(required=True)
    version = plain.String(required=True)
    plane = plain.String(required=True)
    links = plain.Nested(Links, required=True)


class Services(Ready):
    """What the service stands on."""

    database = plain.String(required=True)
    api = plain.String(required=True)


class Health(Ready):
    """Whether the service is well; timestamp is in seconds since 1970."""

    status = plain.String(required=True)
    timestamp = plain.Float(required=True)
    version = plain.String(required=True)
    services = plain.Nested(Services, required=True)


class Status(Ready):
    """Whether the process lives, or may be given requests."""

    status = plain.String(required=True)
    reason = plain.String()


class Info(Ready):
    """What this service is and can do."""

    name = plain.String(required=True)
    description = plain.String(required=True)
    version = plain.String(required=True)
    architecture = plain.String(required=True)
    supported_features = plain.List(plain.String(), required=True)
    realtime = plain.String(required=True, allow_none=True)
