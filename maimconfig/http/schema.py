"""The base of all schemas."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, missing, post_load

from maimconfig.http import fields
from maimconfig.i18n import Text

MAX_NAMED = 50  # unknown fields that an answer names

UNKNOWN = Text("未知字段", "Unknown field")
UNKNOWN_NEAR = Text("未知字段，是否想写 {name}？", "Unknown field, did you mean {name}?")
NOT_AN_OBJECT = Text("必须是JSON对象", "Must be a JSON object")


class InputSchema(Schema):
    """A body or query: unknown fields are refused, with the nearest known name."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": UNKNOWN, "type": NOT_AN_OBJECT}

    def _deserialize(self, data: Any, *, unknown: Any = RAISE, **options: Any) -> Any:
        # Nearly all that comes is right, and read in a third of the time that marshmallow takes
        # to be ready for errors; it is asked what is wrong when something is.
        if isinstance(data, dict) and not (options.get("many") or options.get("partial")):
            try:
                return self._read(data, exact=unknown == RAISE)
            except (_Irregular, ValidationError):
                pass
        return super()._deserialize(data, unknown=unknown, **options)

    def _read(self, data: dict[str, Any], *, exact: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        present = 0
        for name, field in self.load_fields.items():
            if field.data_key or field.attribute:
                raise _Irregular
            if name in data:
                present += 1
                found[name] = field.deserialize(data[name], name, data)
            elif field.required:
                raise _Irregular
            elif field.load_default is not missing:
                default = field.load_default
                found[name] = default() if callable(default) else default
        if exact and present != len(data):
            raise _Irregular
        return found

    def handle_error(self, error: ValidationError, data: Any, **_: Any) -> None:
        """Name the nearest known field for each unknown one."""
        if not isinstance(error.messages, dict):
            return
        unknown = [name for name, messages in error.messages.items() if messages == [UNKNOWN]]
        for name in unknown[:MAX_NAMED]:
            near = difflib.get_close_matches(str(name), list(self.fields), n=1)
            if near:
                error.messages[name] = [UNKNOWN_NEAR.format(name=near[0])]
        for name in unknown[MAX_NAMED:]:
            del error.messages[name]


class _Irregular(Exception):
    """Not what the quick way is for."""


class Ready(Schema):
    """An answer that a view makes in its final shape: the schema only documents it."""

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The object as it is."""
        return obj


class Shaped(Ready):
    """An answer that is shaped by hand, for lists that are read so much that marshmallow's way,
    field by field, would cost more than all else."""

    def shape(self, obj: Any) -> dict[str, Any]:
        """One object as it is shown; as it is, when it is a mapping."""
        return {**obj}

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The object, or each of many."""
        return [self.shape(one) for one in obj] if many or self.many else self.shape(obj)


class FreeObject(Ready):
    """A JSON object of any content, kept to the letter."""

    class Meta:
        unknown = INCLUDE

    error_messages = {"type": NOT_AN_OBJECT}

    @post_load(pass_original=True)
    def _in_its_order(self, _loaded: Any, sent: Any, **_: Any) -> Any:
        # marshmallow gathers unknown fields from a set, so in another order each time.
        return sent


class TenantQuery(InputSchema):
    """?tenant_id="""

    tenant_id = fields.Id(required=True)


def changes_of(payload: Mapping[str, Any], *may_be_empty: str) -> dict[str, Any]:
    """What a PUT changes: null empties a field that may be empty, and else leaves it as it is."""
    return {
        name: value for name, value in payload.items() if value is not None or name in may_be_empty
    }


def flat(messages: Any, path: str = "") -> dict[str, list[str]]:
    """marshmallow's nested messages as field path -> list of messages."""
    if isinstance(messages, Mapping):
        fields_within = {}
        for name, inner in messages.items():
            step = "" if name == "_schema" else str(name)
            fields_within.update(flat(inner, f"{path}.{step}".strip(".")))
        return fields_within
    listed = messages if isinstance(messages, list) else [messages]
    texts = [message for message in listed if not isinstance(message, Mapping)]
    found = {path or "json": texts} if texts else {}
    # What a field's validator says of the fields within it stands among the field's own messages.
    for inner in listed:
        if isinstance(inner, Mapping):
            found.update(flat(inner, path))
    return found
