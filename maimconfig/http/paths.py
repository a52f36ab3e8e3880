"""Ids in paths."""

from __future__ import annotations

from werkzeug.routing import UnicodeConverter

from maimconfig.http.fields import as_id


class IdConverter(UnicodeConverter):
    """`<id:tenant_id>`: what can't be an id becomes one that no object has."""

    def to_python(self, value: str) -> str:
        """The id, or the empty text."""
        return as_id(value)
