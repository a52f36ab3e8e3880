"""JSON as this API reads and writes it: strict in, orjson out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider

from maimconfig.http.errors import BadRequest, Invalid
from maimconfig.i18n import Text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_DEPTH = 64
_LOWEST_INTEGER, _HIGHEST_INTEGER = -(2**63), 2**64 - 1  # what orjson can write

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?')
_BRACKETS = re.compile(r"[\[\]{}]")
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

BROKEN = Text("请求体不是有效的JSON（位置{n}）", "The body is not valid JSON (position {n})")
TOO_DEEP = Text("JSON嵌套超过{most}层", "JSON is nested deeper than {most} levels")
NUL_REFUSED = Text("不能包含NUL字符", "Must not contain NUL characters")


class OrjsonProvider(JSONProvider):
    """Flask's JSON, written by orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """JSON text of a value."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """A value from strict JSON."""
        return loads(s if isinstance(s, bytes) else s.encode())

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """A JSON response, without going through text."""
        return response(self._prepare_response_obj(args, kwargs))


class JsonResponse(Response):
    """A response that is ready as it is, and written past werkzeug's way, which looks each header
    over for what a page or a redirect may need."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer, as WSGI has it."""
        if self._status_code != 200 or environ["REQUEST_METHOD"] == "HEAD" or self._on_close:
            return super().__call__(environ, start_response)
        start_response(self._status, self.headers.to_wsgi_list())
        written: Iterable[bytes] = self.response  # type: ignore[assignment]
        return written


def response(body: Any, status: int = 200) -> Response:
    """A JSON response."""
    return JsonResponse(orjson.dumps(body), status, content_type="application/json")


def loads(body: bytes, *, depth: int = MAX_DEPTH) -> Any:
    """Parse a request body strictly.

    Refused besides broken JSON: text that isn't UTF-8, nesting over `depth` levels, a key twice in
    an object, NaN and infinities, integers beyond 64 bits, lone surrogates, NUL characters.

    Raises:
        BadRequest: the body isn't acceptable JSON (400).
        Invalid: a text has a NUL character (422, with its field).
    """
    try:
        text = body.decode("utf-8")
        _refuse_deep(text, depth)
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise BadRequest(Text("请求体不是UTF-8", "The body is not UTF-8")) from error
    except json.JSONDecodeError as error:
        raise BadRequest(BROKEN.format(n=error.pos)) from error
    if _SUSPICIOUS.search(text):
        _refuse_characters(value, "")
    return value


def _refuse_deep(text: str, most: int) -> None:
    if text.count("[") + text.count("{") <= most:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > most:
            raise BadRequest(TOO_DEEP.format(most=most))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadRequest(Text("重复的键：{k}", "Duplicate key: {k}").format(k=_shown(twice)))
    return found


def _integer(text: str) -> int:
    number = int(text) if len(text) <= 20 else _HIGHEST_INTEGER + 1
    if not _LOWEST_INTEGER <= number <= _HIGHEST_INTEGER:
        raise BadRequest(Text("整数超出64位范围", "An integer is beyond 64 bits"))
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadRequest(Text("数字超出范围", "A number is out of range"))
    return number


def _constant(text: str) -> Any:
    raise BadRequest(Text("{t} 不是JSON", "{t} is not JSON").format(t=text))


def _refuse_characters(value: Any, path: str) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise BadRequest(Text("文本包含孤立的代理字符", "A text has a lone surrogate"))
        if "\0" in value:
            raise Invalid(details={path or "json": [NUL_REFUSED]})
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_characters(key, f"{path}.{_shown(key)}".lstrip("."))
            _refuse_characters(item, f"{path}.{_shown(key)}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_characters(item, f"{path}.{index}".lstrip("."))


def _shown(key: str) -> str:
    return key.replace("\0", "").encode("utf-8", "replace").decode()[:50]


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
