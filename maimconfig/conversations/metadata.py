"""How much a caller may keep with a message or a session: each listener and reader is sent it."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import ValidationError

from maimconfig.http import fields
from maimconfig.i18n import Text

METADATA_BYTES = 8192
METADATA_DEPTH = 20

TOO_LARGE = Text(
    f"必须是最多{METADATA_BYTES}字节、{METADATA_DEPTH}层的对象，不含NUL",
    f"Must be an object of at most {METADATA_BYTES} bytes and {METADATA_DEPTH} levels, without NUL",
)


class Metadata(fields.Object):
    """A free-form JSON object that is small."""

    def __init__(self, **kwargs: Any) -> None:
        shown = {"description": f"At most {METADATA_BYTES} bytes and {METADATA_DEPTH} levels."}
        super().__init__(metadata=shown, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        if not is_small_object(found):
            raise ValidationError(TOO_LARGE)
        return found


def is_small_object(value: Any) -> bool:
    """Whether a value of JSON is an object that is kept."""
    if not isinstance(value, dict) or not _is_shallow(value, METADATA_DEPTH):
        return False
    written = orjson.dumps(value)
    return len(written) <= METADATA_BYTES and b"\\u0000" not in written


def _is_shallow(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_shallow(item, levels - 1) for item in value)
    return True
