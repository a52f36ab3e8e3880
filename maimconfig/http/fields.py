"""Strict marshmallow fields: what looks like a number or a flag but isn't one is refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from maimconfig import clock
from maimconfig.http.json import NUL_REFUSED
from maimconfig.i18n import Text

REQUIRED = Text("缺少必填字段", "Missing data for required field")
NOT_NULL = Text("不能为null", "Must not be null")
NOT_TEXT = Text("必须是字符串", "Must be a string")
NOT_INTEGER = Text("必须是整数", "Must be an integer")
NOT_NUMBER = Text("必须是数字", "Must be a number")
NOT_BOOLEAN = Text("必须是布尔值", "Must be a boolean")
NOT_OBJECT = Text("必须是对象", "Must be an object")
NOT_LIST = Text("必须是数组", "Must be an array")
NOT_MOMENT = Text(
    "必须是带时区偏移的ISO 8601时间", "Must be an ISO 8601 time with an offset, such as Z"
)
LENGTH = Text("长度必须在{min}到{max}之间", "Length must be between {min} and {max}")
RANGE = Text("必须在{min}到{max}之间", "Must be between {min} and {max}")
CHOICE = Text("必须是以下之一：{choices}", "Must be one of: {choices}")
CONTROL = Text("不能包含控制字符", "Must not contain control characters")
NOT_EMAIL = Text("不是有效的邮箱地址", "Not a valid e-mail address")

fields.Field.default_error_messages.update(
    required=REQUIRED, null=NOT_NULL, validator_failed=Text("无效的值", "Invalid value")
)
fields.Dict.default_error_messages.update(invalid=NOT_OBJECT)
fields.Nested.default_error_messages.update(type=NOT_OBJECT)
fields.List.default_error_messages.update(invalid=NOT_LIST)

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,50}\Z")
_DIGITS = re.compile(r"-?[0-9]{1,18}\Z")
# In a query string the + of an offset arrives as a blank.
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?:(:\d\d)(?:[.,](\d{1,20}))?)?"
    r"(?:[zZ]|([+ -])(\d\d):?(\d\d)?)",
    re.ASCII,
)


def length(low: int, high: int) -> validate.Length:
    """A length from low to high characters or items."""
    return validate.Length(min=low, max=high, error=LENGTH)


def between(low: int, high: int) -> validate.Range:
    """A number from low to high, both included."""
    return validate.Range(min=low, max=high, error=RANGE)


def one_of(*choices: str) -> validate.OneOf:
    """One of the given words."""
    return validate.OneOf(choices, error=CHOICE)


class String(fields.String):
    """A JSON string without NUL (which MySQL and SQLite treat differently)."""

    default_error_messages = {"invalid": NOT_TEXT, "invalid_utf8": NOT_TEXT}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text is not None and "\0" in text:
            raise ValidationError(NUL_REFUSED)
        return text


class Name(String):
    """Trimmed, NFC-normalised, 1..100 characters, without control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=length(1, 100), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        text = unicodedata.normalize("NFC", super()._deserialize(value, attr, data, **kwargs))
        if any(unicodedata.category(char) == "Cc" for char in text.strip()):
            raise ValidationError(CONTROL)
        return text.strip()


class NamePart(String):
    """A part of a name to search for, NFC-normalised as names are; blanks count."""

    def __init__(self) -> None:
        super().__init__(validate=length(0, 100), metadata={"description": "A part of the name."})

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return unicodedata.normalize("NFC", super()._deserialize(value, attr, data, **kwargs))


class Email(String):
    """An e-mail address of at most 254 characters (RFC 5321, section 4.5.3.1.3)."""

    _check = validate.Email(error=NOT_EMAIL)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=length(3, 254), metadata={"format": "email"}, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return self._check(super()._deserialize(value, attr, data, **kwargs).strip())


class Integer(fields.Integer):
    """A JSON integer: no text, no fraction, no boolean."""

    default_error_messages = {"invalid": NOT_INTEGER, "too_large": NOT_INTEGER}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


class Number(fields.Float):
    """A JSON number: no text, no boolean."""

    default_error_messages = {
        "invalid": NOT_NUMBER, "too_large": NOT_NUMBER, "special": NOT_NUMBER,
    }  # fmt: skip

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if type(value) not in (int, float):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class QueryInteger(fields.Integer):
    """A query parameter of plain ASCII digits."""

    default_error_messages = {"invalid": NOT_INTEGER, "too_large": NOT_INTEGER}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not _DIGITS.match(str(value)):
            raise self.make_error("invalid", input=value)
        return int(value)


class Boolean(fields.Boolean):
    """A JSON boolean: no text, no number."""

    default_error_messages = {"invalid": NOT_BOOLEAN}

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


class QueryFlag(fields.Boolean):
    """A query parameter of 1, 0, true or false."""

    default_error_messages = {"invalid": NOT_BOOLEAN}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(truthy={"1", "true"}, falsy={"0", "false"}, **kwargs)


class Moment(fields.Field[datetime]):
    """An ISO 8601 time with an offset; shown in UTC with `Z`."""

    default_error_messages = {"invalid": NOT_MOMENT}

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else clock.wire(value)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(_python_iso(value))
            if moment.tzinfo is None:
                raise ValueError("no offset")
            # Within a day of the calendar's ends the conversion to UTC overflows.
            return moment.astimezone(clock.UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.make_error("invalid") from error


def _python_iso(value: Any) -> str:
    """A time in the one form that every Python reads alike: 3.10 knows little, 3.11 too much."""
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a time")
    date, minutes, seconds, fraction, sign, hours, rest = found.groups(default="")
    offset = f"{sign.replace(' ', '+')}{hours}:{rest or '00'}" if hours else "+00:00"
    return f"{date}T{minutes}{seconds or ':00'}.{fraction[:6]:0<6}{offset}"


class Object(fields.Dict):
    """A free-form JSON object, kept to the letter."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        return value

    def _serialize(self, value: Any, attr: Any, obj: Any, **kwargs: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) else value


class Trimmed(String):
    """A string of low to high characters after its outer blanks, which MySQL ignores, are cut."""

    def __init__(self, *, low: int, high: int, **kwargs: Any) -> None:
        super().__init__(validate=length(low, high), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value, attr, data, **kwargs).strip()


class _Counted:
    """An array or object whose items are counted before any of them is looked at.

    A body of 1 MiB holds half a million of them, and each that is wrong would be answered.
    """

    least: int = 0
    most: int

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (list, dict)) and len(value) > self.most:
            raise ValidationError(LENGTH.format(min=self.least, max=self.most))
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]


class Texts(_Counted, fields.List[str]):
    """A list of at most `items` strings."""

    def __init__(self, *, items: int, text: String | None = None, **kwargs: Any) -> None:
        super().__init__(text or String(), validate=length(0, items), **kwargs)
        self.most = items


class Objects(_Counted, fields.List[dict[str, Any]]):
    """A list of 1 to `items` free-form objects."""

    least = 1

    def __init__(self, *, items: int, **kwargs: Any) -> None:
        super().__init__(Object(), validate=length(self.least, items), **kwargs)
        self.most = items


class TextLists(_Counted, fields.Dict):
    """An object of at most `items` lists of strings, of at most `each` strings each."""

    def __init__(self, *, items: int, each: int, **kwargs: Any) -> None:
        lists = Texts(items=each)
        super().__init__(keys=String(), values=lists, validate=length(0, items), **kwargs)
        self.most = items

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            # marshmallow puts "key" or "value" between a name and what is wrong there.
            if not isinstance(error.messages, dict):
                raise
            plain = {
                name: inner.get("key") or inner["value"] for name, inner in error.messages.items()
            }
            raise ValidationError(plain) from error


def as_id(text: str) -> str:
    """The text when it can be an id, else the empty text, which no object has.

    MySQL ignores trailing blanks in comparisons, so `tenant_x ` must not get as far.
    """
    return text if _ID.match(text) else ""


class Id(String):
    """The id of an object; one that can't exist is simply unknown."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return as_id(super()._deserialize(value, attr, data, **kwargs).strip())
