"""System views on the wire."""

from __future__ import annotations

from marshmallow import Schema, validate
from marshmallow import fields as plain

from maimconfig.http.schema import FreeObject
from maimconfig.providers.breaker import State


class SystemModels(Schema):
    """The system's AI providers and models, without keys."""

    providers = plain.List(plain.Nested(FreeObject), required=True)
    models = plain.List(plain.Nested(FreeObject), required=True)
    defaults = plain.Nested(FreeObject, required=True)


class BotDefaults(FreeObject):
    """The lowest layer of every agent's configuration, by section."""


class ProviderState(Schema):
    """How one provider does, as one process sees it."""

    scope = plain.String(
        required=True, metadata={"description": "`system`, or the tenant whose own provider it is."}
    )
    name = plain.String(required=True)
    state = plain.String(
        required=True,
        validate=validate.OneOf([state.value for state in State]),
        metadata={"description": "`open` is left out; `half_open` is tried by one request."},
    )
    recent_failures = plain.Integer(required=True)
    open_until = plain.String(
        required=True, allow_none=True, metadata={"description": "When it is tried again."}
    )


class ProviderStates(Schema):
    """The providers that a process asked lately."""

    providers = plain.List(plain.Nested(ProviderState), required=True)
