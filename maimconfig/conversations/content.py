"""What is said in a live chat, over HTTP as over the gateway."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from maimconfig.http import fields
from maimconfig.http.context import runtime
from maimconfig.i18n import Text

BLANK = Text("不能是空白", "Must not be blank")


class Content(fields.String):
    """A text that isn't blank, of at most MAIMCONFIG_REALTIME_MESSAGE_LENGTH characters."""

    def __init__(self) -> None:
        shown = {
            "description": "At most MAIMCONFIG_REALTIME_MESSAGE_LENGTH characters, not all blank.",
            "pattern": r"\S",
            "example": "你好",
        }
        super().__init__(required=True, metadata=shown)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.strip():
            raise ValidationError(BLANK)
        most = runtime().settings.realtime_message_length
        if len(text) > most:
            raise ValidationError(fields.LENGTH.format(min=1, max=most))
        return text
