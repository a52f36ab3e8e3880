"""System views on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.http.schema import FreeObject


class SystemModels(Schema):
    """The system's AI providers and models, without keys."""

    providers = plain.List(plain.Nested(FreeObject), required=True)
    models = plain.List(plain.Nested(FreeObject), required=True)
    defaults = plain.Nested(FreeObject, required=True)


class BotDefaults(FreeObject):
    """The lowest layer of every agent's configuration, by section."""
