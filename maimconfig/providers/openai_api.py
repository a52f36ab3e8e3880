"""One request in OpenAI's protocol: POST {base_url}/chat/completions, as a stream or not.

Gemini and Anthropic have endpoints that speak it too, so it is the only protocol here. Nothing that
a provider says of an error goes any further than this module: it may echo the key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

import anyio
import httpcore
import httpx
import orjson
from httpx_sse import EventSource, SSEError

from maimconfig import clock, tracing
from maimconfig.providers.types import Ask, Endpoint, Failure, Target
from maimconfig.security.outbound_http import AddressRefused, checked_url

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
MAX_TOKENS: Final = 10**9
MAX_RETRY_AFTER: Final = 24 * 3600
LAST_BYTES_SECONDS: Final = 0.1

# What our own protocol decides, whoever asks for something else.
_OURS: Final = ("model", "messages", "stream", "stream_options", "n", "headers")
_OUR_HEADERS: Final = frozenset(
    [
        *("host", "content-length", "content-type", "transfer-encoding", "connection"),
        *("upgrade", "accept-encoding", "te", "trailer", "expect"),
    ]
)
_TIMEOUTS: Final = (httpcore.TimeoutException, TimeoutError)
_BREAKS: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpx.StreamError, SSEError)
_BLANK_LINES: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class AttemptFailed(Exception):
    """A request that brought no answer, or no whole one.

    Attributes:
        status: of HTTP, when there was one.
        retry_after: seconds that the provider asks to wait.
    """

    def __init__(
        self, failure: Failure, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.status = status
        self.retry_after = retry_after


class _TooLarge(Exception):
    """More bytes than anybody should send."""


@dataclass(slots=True)
class Answer:
    """What a request has brought so far; `write` is called with each piece of text.

    Blank text in front is held back: an answer of nothing else is none at all.
    """

    write: Callable[[str], None]
    text: str = field(default="", init=False)
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    status: int | None = None
    tool_call: bool = False
    _pieces: list[str] = field(default_factory=list)
    _held: str = ""
    _size: int = 0

    def add(self, piece: str) -> None:
        """Take in a piece of text.

        Raises:
            _TooLarge: it is more than MAX_TEXT_BYTES in all.
        """
        self._size += len(piece.encode())
        if self._size > MAX_TEXT_BYTES:
            raise _TooLarge
        if not self._pieces and not piece.strip():
            self._held += piece
            return
        piece, self._held = self._held + piece, ""
        if piece:
            self._pieces.append(piece)
            self.write(piece)

    def close(self) -> None:
        """Put the text together."""
        self.text = "".join(self._pieces)

    @property
    def is_empty(self) -> bool:
        """Whether it has neither text nor a tool call."""
        return not (self._pieces or self.tool_call)


class OpenAIApi:
    """Asks endpoints; one for all of them, on the loop that its clients live on."""

    def __init__(self, trusted: httpx.AsyncClient, guarded: httpx.AsyncClient) -> None:
        """
        Args:
            trusted: for addresses that the operator named.
            guarded: for those that a tenant brought.
        """
        self._clients = {True: trusted, False: guarded}
        self._without_usage: set[tuple[str, str, str]] = set()

    async def complete(self, target: Target, key: str, ask: Ask, answer: Answer) -> None:
        """Ask a target once, and fill in `answer`.

        Raises:
            AttemptFailed: it brought no whole answer; what came is in `answer`.
        """
        endpoint = target.endpoint
        if not (ask.stream or target.stream_only):
            await self._send(target, key, ask, answer, _body(target, ask, stream=False))
            return
        place = (endpoint.scope, endpoint.name, endpoint.base_url)
        with_usage = _body(target, ask, stream=True) | {"stream_options": {"include_usage": True}}
        if place not in self._without_usage:
            try:
                await self._send(target, key, ask, answer, with_usage)
                return
            except AttemptFailed as failed:
                # Older servers don't know stream_options. Or they dislike something else: then
                # they refuse the request without it too.
                if failed.status not in (400, 422):
                    raise
        await self._send(target, key, ask, answer, _body(target, ask, stream=True))
        if len(self._without_usage) < 10_000:
            self._without_usage.add(place)

    async def _send(
        self, target: Target, key: str, ask: Ask, answer: Answer, body: dict[str, Any]
    ) -> None:
        try:
            async with self._answered(target, key, body) as response:
                answer.status = response.status_code
                _refuse_status(response)
                if body["stream"]:
                    await _read_stream(response, answer)
                else:
                    _read_whole(await _whole(response), answer)
        except AddressRefused:
            raise AttemptFailed(Failure.ADDRESS, answer.status) from None
        except _TooLarge:
            raise AttemptFailed(Failure.TOO_LARGE, answer.status) from None
        except httpcore.ConnectError:
            raise AttemptFailed(Failure.CONNECT) from None
        except (*_TIMEOUTS, *_BREAKS) as error:
            # A stream that said how it finished is whole, though its end got lost.
            if answer.finish_reason is None:
                failure = Failure.TIMEOUT if isinstance(error, _TIMEOUTS) else Failure.BROKEN
                raise AttemptFailed(failure, answer.status) from None
        finally:
            answer.close()

    @asynccontextmanager
    async def _answered(
        self, target: Target, key: str, body: dict[str, Any]
    ) -> AsyncIterator[httpx.Response]:
        """The head of the answer; its connection is closed or given back at the end."""
        endpoint = target.endpoint
        client = self._clients[endpoint.trusted]
        request = client.build_request(
            "POST",
            _url(endpoint),
            content=json.dumps(body, default=str).encode(),
            headers=_headers(target, key, stream=body["stream"]),
            timeout=endpoint.timeout,
        )
        # The limit on each read is httpx's; this one ends a head that comes byte by byte.
        with anyio.fail_after(2 * endpoint.timeout):
            response = await client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                # We asked for none, so that nothing can swell up here.
                raise AttemptFailed(Failure.BROKEN, response.status_code)
            yield response
        finally:
            await response.aclose()


def _url(endpoint: Endpoint) -> httpx.URL:
    url = checked_url(endpoint.base_url, trusted=endpoint.trusted)
    return url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions", fragment=None)


def _headers(target: Target, key: str, *, stream: bool) -> dict[str, str]:
    own = target.extra_params.get("headers")
    found = {
        "Accept": "text/event-stream" if stream else "application/json",
        "User-Agent": "MaimConfig",
        **tracing.headers(),
    }
    if key:
        found["Authorization"] = f"Bearer {_printable(key)}"
    for name, value in own.items() if isinstance(own, Mapping) else ():
        if isinstance(name, str) and isinstance(value, str) and _is_header(name, value):
            found = {known: text for known, text in found.items() if known.lower() != name.lower()}
            found[name] = value
    return found | {"Content-Type": "application/json", "Accept-Encoding": "identity"}


def _is_header(name: str, value: str) -> bool:
    known = name.lower()
    return (
        known not in _OUR_HEADERS
        and known.replace("-", "").replace("_", "").isalnum()
        and known.isascii()
        and value.isascii()
        and value.isprintable()
    )


def _printable(key: str) -> str:
    """A key as a header may hold it; what can't be sent can't be right, and the answer is 401."""
    return "".join(letter for letter in key if letter.isascii() and letter.isprintable())


def _body(target: Target, ask: Ask, *, stream: bool) -> dict[str, Any]:
    """The request: what the model's settings say goes before what the caller asked for.

    A null in extra_params leaves a parameter out; max_completion_tokens takes max_tokens' place.
    """
    temperature = ask.temperature if target.temperature is None else target.temperature
    asked = {"max_tokens": ask.max_tokens, "temperature": temperature}
    params = {**asked, **ask.params}
    if target.temperature is not None:
        params["temperature"] = temperature
    params |= target.extra_params
    if params.get("max_completion_tokens") is not None:
        params.pop("max_tokens", None)
    wanted = {k: v for k, v in params.items() if v is not None and k not in _OURS}
    messages = [dict(message) for message in ask.messages]
    return {"model": target.identifier, "messages": messages, **wanted, "stream": stream}


def _refuse_status(response: httpx.Response) -> None:
    """Raise the failure that an answer's status is; 200 is none."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if status == 429:
        raise AttemptFailed(Failure.RATE_LIMITED, status, _retry_after(response))
    if status >= 500:
        raise AttemptFailed(Failure.UNAVAILABLE, status, _retry_after(response))
    if status in (401, 403):
        raise AttemptFailed(Failure.UNAUTHORIZED, status)
    # A redirect isn't followed: where it leads to was checked by nobody.
    raise AttemptFailed(Failure.ADDRESS if status < 400 else Failure.REFUSED, status)


def _retry_after(response: httpx.Response) -> int | None:
    """Retry-After in seconds, rounded up; RFC 9110, 10.2.3 allows a number or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=clock.UTC)
    seconds = (date - clock.now()).total_seconds()
    return min(max(0, -int(-seconds // 1)), MAX_RETRY_AFTER)


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLarge
    return bytes(body)


def _read_whole(body: bytes, answer: Answer) -> None:
    content = _json(body, answer)
    choice = _choice(content, answer)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise AttemptFailed(Failure.BROKEN, answer.status)
    answer.tool_call = bool(message.get("tool_calls"))
    answer.finish_reason = _finish_reason(choice) or "stop"
    answer.usage = _usage(content)
    answer.add(_text(message, answer))


async def _read_stream(response: httpx.Response, answer: Answer) -> None:
    # The charset is the provider's to name, and Python has some that inflate.
    response.encoding = "utf-8"
    response.stream = _Bounded(response.stream)
    async with aclosing(EventSource(response).aiter_sse()) as events:
        async for event in events:
            if event.data.strip() == "[DONE]":
                answer.finish_reason = answer.finish_reason or "stop"
                # A connection that is read to its end serves the next request.
                with anyio.move_on_after(LAST_BYTES_SECONDS):
                    async for _ in events:
                        pass
                break
            if event.data:
                _read_chunk(_json(event.data.encode(), answer), answer)
    if answer.finish_reason is None:
        raise AttemptFailed(Failure.BROKEN, answer.status)


def _read_chunk(content: Any, answer: Answer) -> None:
    answer.usage = _usage(content) or answer.usage
    if isinstance(content, dict) and content.get("choices") == [] and "error" not in content:
        return
    choice = _choice(content, answer)
    delta = choice.get("delta") or {}
    if not isinstance(delta, dict):
        raise AttemptFailed(Failure.BROKEN, answer.status)
    answer.tool_call = answer.tool_call or bool(delta.get("tool_calls"))
    answer.add(_text(delta, answer))
    answer.finish_reason = _finish_reason(choice) or answer.finish_reason


def _json(data: bytes, answer: Answer) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise AttemptFailed(Failure.BROKEN, answer.status) from None


def _choice(content: Any, answer: Answer) -> dict[str, Any]:
    choices = content.get("choices") if isinstance(content, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        raise AttemptFailed(Failure.BROKEN, answer.status)
    return choices[0]


def _text(message: Mapping[str, Any], answer: Answer) -> str:
    text = message.get("content")
    if text is not None and not isinstance(text, str):
        raise AttemptFailed(Failure.BROKEN, answer.status)
    return text or ""


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason[:50] if isinstance(reason, str) and reason else None


def _usage(content: Any) -> tuple[int, int] | None:
    """(prompt, completion) tokens; None when they aren't told, or can't be right."""
    usage = content.get("usage") if isinstance(content, dict) else None
    if not isinstance(usage, dict):
        return None
    told = usage.get("prompt_tokens"), usage.get("completion_tokens")
    counts = [count for count in told if type(count) is int and 0 < count <= MAX_TOKENS]
    return (counts[0], counts[1]) if len(counts) == 2 else None


class _Bounded(httpx.AsyncByteStream):
    """A stream whose events, and so its lines too, have an end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        since, tail = 0, b""
        async for chunk in self._stream:
            seen = tail + chunk
            end = max(_end(seen, blank) for blank in _BLANK_LINES)
            since = len(seen) - end if end else since + len(chunk)
            if since > MAX_EVENT_BYTES:
                raise _TooLarge
            tail = seen[-3:]
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _end(data: bytes, blank: bytes) -> int:
    """Where the last blank line of this kind ends; 0 when there is none."""
    at = data.rfind(blank)
    return at + len(blank) if at >= 0 else 0
