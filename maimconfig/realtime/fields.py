"""What a field of a client's frame may be, and how one is read."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from maimconfig.conversations.metadata import METADATA_BYTES, TOO_LARGE, is_small_object
from maimconfig.i18n import Text

F = TypeVar("F")

LARGEST_SEQ = 2**53  # what JavaScript counts to

MISSING_FIELD = Text("缺少必填字段", "Missing data for required field")
UNKNOWN_FIELD = Text("未知字段", "Unknown field")


class FrameInvalid(Exception):
    """A frame's data isn't what its type wants.

    Attributes:
        details: field -> messages.
    """

    def __init__(self, field: str, message: Text) -> None:
        super().__init__(f"{field}: {message.en}")
        self.details = {field: [message]}


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a value may be.

    Attributes:
        name: in the documentation.
        fits: whether a value of JSON is one.
        refusal: what is said of one that isn't.
    """

    name: str
    fits: Callable[[Any], bool]
    refusal: Text


def text(most: int) -> Kind:
    """A text of 1 to `most` characters without NUL, and without blanks around it.

    MySQL takes a text with blanks at its end for the same as one without.
    """
    return Kind(
        f"string of 1 to {most} characters",
        lambda value: (
            isinstance(value, str)
            and 0 < len(value) <= most
            and value == value.strip()
            and "\0" not in value
        ),
        Text(
            f"必须是1到{most}个字符的字符串，不含NUL，首尾没有空白",
            f"Must be a string of 1 to {most} characters, without NUL and outer blanks",
        ),
    )


def one_of(words: Sequence[str]) -> Kind:
    """One of some words."""
    shown = ", ".join(words)
    return Kind(
        " \\| ".join(words),
        lambda value: isinstance(value, str) and value in words,
        Text(f"必须是以下之一：{shown}", f"Must be one of: {shown}"),
    )


def _is_seq(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SEQ


_ID = re.compile(r"[A-Za-z0-9_-]{1,50}\Z")

ID = Kind(
    "id",
    lambda value: isinstance(value, str) and _ID.match(value) is not None,
    Text("必须是id", "Must be an id"),
)
CONTENT = Kind(
    "string",
    lambda value: isinstance(value, str) and value.strip() != "" and "\0" not in value,
    Text("必须是不含NUL的非空白字符串", "Must be a string without NUL, and not blank"),
)
BOOLEAN = Kind(
    "boolean", lambda value: isinstance(value, bool), Text("必须是布尔值", "Must be a boolean")
)
SEQ = Kind(
    "whole number from 0",
    _is_seq,
    Text("必须是从0开始的整数", "Must be a whole number from 0"),
)
OBJECT = Kind(
    f"object of at most {METADATA_BYTES} bytes",
    is_small_object,
    TOO_LARGE,
)


def said(kind: Kind, doc: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that a client sends.

    Args:
        kind: what it may be; null is as good as absent.
        doc: what it means, for docs/realtime.md.
        default: when it's absent; without one it must be there.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def read(kind: type[F], data: dict[str, Any], frame_id: str | int | None) -> F:
    """Make a client's frame of its data.

    Args:
        kind: a dataclass whose fields were made by `said`, and one more, `id`.
        data: as it came.
        frame_id: what the client calls the frame.

    Raises:
        FrameInvalid: a field is missing, unknown or not what it should be.
    """
    rows = _rows(kind)
    for name in data:
        if name not in rows:
            raise FrameInvalid(name[:50].replace("\0", ""), UNKNOWN_FIELD)
    values: dict[str, Any] = {"id": frame_id}
    for name, (wanted, default) in rows.items():
        value = data.get(name)
        if value is not None:
            if not wanted.fits(value):
                raise FrameInvalid(name, wanted.refusal)
            values[name] = value
        elif default is dataclasses.MISSING:
            raise FrameInvalid(name, MISSING_FIELD)
        else:
            values[name] = default
    return kind(**values)


_known: dict[type, dict[str, tuple[Kind, Any]]] = {}


def _rows(kind: type) -> dict[str, tuple[Kind, Any]]:
    if kind not in _known:
        _known[kind] = {
            row.name: (row.metadata["kind"], row.default)
            for row in dataclasses.fields(kind)
            if row.metadata
        }
    return _known[kind]
