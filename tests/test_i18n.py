"""Texts in two languages."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from maimconfig.http import errors
from maimconfig.http.errors import AppError
from maimconfig.i18n import Text, localized

HELLO = Text("你好", "hello")


def test_a_text_is_chinese() -> None:
    """A text is a string: the Chinese one."""
    assert HELLO == "你好"
    assert f"{HELLO}" == "你好"
    assert HELLO.en == "hello"


def test_localized() -> None:
    """Each language gets its own, as a plain string."""
    assert localized(HELLO, "zh") == "你好"
    assert localized(HELLO, "en") == "hello"
    assert {type(localized(HELLO, locale)) for locale in ("zh", "en")} == {str}


def test_localized_deep() -> None:
    """Texts are found however deep; keys become strings, and all else stays as it is."""
    value: Any = {"a": [HELLO, {"b": (HELLO, 1, None)}], 1: "plain", "n": 1.5}
    assert localized(value, "en") == {
        "a": ["hello", {"b": ["hello", 1, None]}],
        "1": "plain",
        "n": 1.5,
    }
    assert localized(value, "zh")["a"][0] == "你好"


def test_format() -> None:
    """Both languages are filled in."""
    text = Text("在{low}到{high}之间", "from {low} to {high}").format(low=1, high=9)
    assert (text, text.en) == ("在1到9之间", "from 1 to 9")


def test_format_with_a_text() -> None:
    """What a caller sent may hold braces, and is filled in as it is."""
    text = Text("键：{k}", "key: {k}").format(k="{0} {x}")
    assert (text, text.en) == ("键：{0} {x}", "key: {0} {x}")


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies(copied: Any) -> None:
    """A copy knows its English."""
    assert copied(HELLO).en == "hello"
    assert copied(HELLO) == HELLO


def every_error() -> list[type[AppError]]:
    """All classes of the tree."""
    found, pending = [], [AppError]
    while pending:
        for case in pending.pop().__subclasses__():
            found.append(case)
            pending.append(case)
    return found


@pytest.mark.parametrize("case", every_error(), ids=lambda case: case.__name__)
def test_errors_speak_both(case: type[AppError]) -> None:
    """Every error has a code, a status and a text in both languages, and stands in the tree."""
    if case is not errors.Unauthenticated:
        assert case.code
    assert 400 <= case.status < 600
    assert case.text.en.isascii()
    assert not case.text.isascii()
    assert f" {case.__name__} " in f"{errors.__doc__} ".replace("\n", " \n")


def test_codes_have_one_meaning() -> None:
    """An error_code has one status, but for the one that the contract gives two."""
    statuses: dict[str, set[int]] = {}
    for case in every_error():
        statuses.setdefault(case.code, set()).add(case.status)
    assert {code for code, found in statuses.items() if len(found) > 1} == {"ACTIVITY_002"}
