"""An AI provider on loopback that speaks OpenAI's protocol, and does wrong what a test wants.

    with FaultyProvider() as provider:
        provider.default = answer("Hi!", usage=(12, 3))      # what every request gets
        provider.script(status(500), cut(after=2))           # what the next two get instead
        provider.by_key["sk-bad"] = status(401)              # what this key gets, always
        provider.by_model["m-slow"] = slow(3)                # what this model gets, always
        ... Endpoint(base_url=provider.base_url, ...)
        provider.requests[0].body["messages"], .key, .stream, .wait_closed(2)

Of the four, `by_key` goes first, then `by_model`, then the script, then the default. A behaviour is
made by a function of this module (`answer`, `status`, `slow`, ...), or is any coroutine function
that takes an `Exchange`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

STOP_SECONDS = 5
CHUNK = 64 * 1024


@dataclass
class Request:
    """A request that came in; times are of time.monotonic().

    Attributes:
        body: the JSON of it; {} when it is none.
        arrived: when it was read.
        sent: bytes of the answer that were written so far.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    arrived: float
    sent: int = 0
    _closed: float | None = None
    _told: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def key(self) -> str | None:
        """The bearer token."""
        word, _, key = self.headers.get("authorization", "").partition(" ")
        return key if word == "Bearer" else None

    @property
    def stream(self) -> bool:
        """Whether a stream is asked for."""
        return bool(self.body.get("stream"))

    @property
    def closed(self) -> float | None:
        """When the client closed the connection; None while it has not."""
        return self._closed

    def wait_closed(self, timeout: float) -> float:
        """When the client closed the connection.

        Raises:
            AssertionError: it did not within `timeout` seconds.
        """
        assert self._told.wait(timeout), f"still connected after {timeout} s"
        assert self._closed is not None
        return self._closed

    def is_closed(self) -> None:
        """Called by the server when the client has closed."""
        if self._closed is None:
            self._closed = time.monotonic()
            self._told.set()


@dataclass
class Exchange:
    """A request and the way to answer it, for a behaviour.

    Attributes:
        done: the answer is whole, so that the connection may serve another request.
    """

    request: Request
    writer: asyncio.StreamWriter
    done: bool = False

    async def send(self, data: bytes) -> None:
        """Write bytes, and wait while the client doesn't read."""
        self.writer.write(data)
        await self.writer.drain()
        self.request.sent += len(data)

    async def head(self, code: int = 200, **headers: str) -> None:
        """Write the head of an answer; `_` in names stands for `-`."""
        lines = [f"HTTP/1.1 {code} Whatever"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def json(self, content: Any, code: int = 200, **headers: str) -> None:
        """Write a whole answer."""
        body = json.dumps(content).encode()
        await self.head(
            code, content_type="application/json", content_length=str(len(body)), **headers
        )
        await self.send(body)
        self.done = True

    async def start_stream(self) -> None:
        """Write the head of a stream; it ends with `end_stream`, else it is cut."""
        await self.head(content_type="text/event-stream", transfer_encoding="chunked")

    async def line(self, text: str) -> None:
        """Write lines of a stream as they are."""
        data = text.encode()
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, content: Any) -> None:
        """Write an event of a stream."""
        await self.line(f"data: {json.dumps(content)}\n\n")

    async def delta(self, text: str, finish_reason: str | None = None) -> None:
        """Write an event with a piece of text."""
        delta = {"content": text} if text else {}
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await self.event(self._envelope("chat.completion.chunk", [choice]))

    async def end_stream(self) -> None:
        """End a stream as it should be."""
        await self.line("data: [DONE]\n\n")
        await self.send(b"0\r\n\r\n")
        self.done = True

    def _envelope(self, kind: str, choices: list[Any]) -> dict[str, Any]:
        model = self.request.body.get("model")
        created = int(time.time())
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": created,
            "model": model,
            "choices": choices,
        }

    async def reply(
        self, text: str, usage: tuple[int, int] | None, finish_reason: str, pieces: int
    ) -> None:
        """Answer as a good provider does, as a stream when asked for one."""
        if not self.request.stream:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": finish_reason}
            content = self._envelope("chat.completion", [choice])
            await self.json(content | ({"usage": _usage(usage)} if usage else {}))
            return
        await self.start_stream()
        for piece in split(text, pieces):
            await self.delta(piece)
        await self.delta("", finish_reason)
        wanted = self.request.body.get("stream_options", {}).get("include_usage")
        if usage and wanted:
            await self.event(self._envelope("chat.completion.chunk", []) | {"usage": _usage(usage)})
        await self.end_stream()


Behaviour: TypeAlias = Callable[[Exchange], Awaitable[None]]


def split(text: str, pieces: int) -> list[str]:
    """Cut a text into at most `pieces` parts, as `answer` streams it."""
    size = max(1, -(-len(text) // pieces))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {
        "prompt_tokens": usage[0],
        "completion_tokens": usage[1],
        "total_tokens": sum(usage),
    }


def answer(
    text: str = "Hello there!",
    usage: tuple[int, int] | None = (12, 3),
    finish_reason: str = "stop",
    pieces: int = 4,
) -> Behaviour:
    """A good answer; `usage` is (prompt tokens, completion tokens), None for none."""
    return lambda exchange: exchange.reply(text, usage, finish_reason, pieces)


def echo() -> Behaviour:
    """A good answer that repeats the last message."""

    async def behave(exchange: Exchange) -> None:
        text = exchange.request.body["messages"][-1]["content"]
        await exchange.reply(f"echo: {text}", (12, 3), "stop", 4)

    return behave


def status(code: int, **headers: str) -> Behaviour:
    """An error whose text echoes the key, as some providers do; `retry_after="1"` adds a header."""

    async def behave(exchange: Exchange) -> None:
        text = f"Incorrect API key provided: {exchange.request.key}"
        await exchange.json({"error": {"message": text}}, code, **headers)

    return behave


def rate_limited(retry_after: str) -> Behaviour:
    """429 with Retry-After."""
    return status(429, retry_after=retry_after)


def slow(seconds: float, then: Behaviour | None = None) -> Behaviour:
    """Nothing for a while, then what `then` does, by default a good answer."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await (then or answer())(exchange)

    return behave


def silent() -> Behaviour:
    """Takes the request and never answers."""
    return lambda exchange: asyncio.sleep(3600)


def stalls(after: int, text: str = "Hello there!") -> Behaviour:
    """A stream that is silent for ever after some deltas; the connection stays open."""

    async def behave(exchange: Exchange) -> None:
        await _some(exchange, after, text)
        await asyncio.sleep(3600)

    return behave


def cut(after: int, text: str = "Hello there!") -> Behaviour:
    """A stream whose connection breaks after some deltas; 0 breaks it after the head."""
    return lambda exchange: _some(exchange, after, text)


async def _some(exchange: Exchange, count: int, text: str) -> None:
    await exchange.start_stream()
    for piece in split(text, 4)[:count]:
        await exchange.delta(piece)


def trickle(count: int, pause: float, piece: str = "word ") -> Behaviour:
    """A good stream of `count` deltas with a pause of seconds before each."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        for _ in range(count):
            await asyncio.sleep(pause)
            await exchange.delta(piece)
        await exchange.delta("", "stop")
        await exchange.end_stream()

    return behave


def hangs_up() -> Behaviour:
    """Closes the connection without a byte."""

    async def behave(exchange: Exchange) -> None:
        exchange.writer.transport.abort()

    return behave


def raw(data: bytes) -> Behaviour:
    """These bytes, then the end of the connection."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.writer.close()

    return behave


def lines(*texts: str) -> Behaviour:
    """A stream of these lines as they are, ended in good order: bad SSE."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        for text in texts:
            await exchange.line(text)
        await exchange.send(b"0\r\n\r\n")

    return behave


def endless_headers(pause: float = 0) -> Behaviour:
    """Header after header, with a pause of seconds after each."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await exchange.send(b"X-More: and more\r\n")
            await asyncio.sleep(pause)

    return behave


def huge(size: int = 10**9) -> Behaviour:
    """A whole answer of so many bytes, made as it is read."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(content_type="application/json", content_length=str(size))
        await exchange.send(b'{"choices": [{"message": {"content": "')
        for _ in range(size // CHUNK):
            await exchange.send(b"x" * CHUNK)

    return behave


def endless_line() -> Behaviour:
    """A stream whose first line never ends."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.line("data: ")
        while True:
            await exchange.line("x" * CHUNK)

    return behave


def endless_text() -> Behaviour:
    """A stream that never ends, as fast as it is read."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        while True:
            await exchange.delta("x" * 8192)

    return behave


def redirect(to: str, code: int = 302) -> Behaviour:
    """Sends the client elsewhere."""
    return status(code, location=to)


def empty() -> Behaviour:
    """A good answer without text."""
    return answer("", usage=(12, 0))


def refuses_stream_options(then: Behaviour | None = None) -> Behaviour:
    """400 for a request with stream_options, as older servers answer; else what `then` does."""

    async def behave(exchange: Exchange) -> None:
        refused = "stream_options" in exchange.request.body
        await (status(400) if refused else then or answer())(exchange)

    return behave


class FaultyProvider:
    """The server, in a thread of its own.

    Attributes:
        default: what a request gets for which nothing else is said.
        by_key, by_model: what requests of a key, or for a model, get.
        requests: all that came, in order.
        connections: how many connections were made.
        port: of 127.0.0.1; `base_url` has it.
    """

    def __init__(self, *script: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.default: Behaviour = answer()
        self.by_key: dict[str, Behaviour] = {}
        self.by_model: dict[str, Behaviour] = {}
        self.requests: list[Request] = []
        self.connections = 0
        self._script = deque(script)
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="faulty-provider", daemon=True)

    @property
    def base_url(self) -> str:
        """What to configure."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """Say what the next requests get, one each."""
        self._script.extend(behaviours)

    def asked(self) -> Sequence[str | None]:
        """The keys of all requests, in order."""
        return [request.key for request in self.requests]

    def __enter__(self) -> FaultyProvider:
        self._thread.start()
        assert self._ready.wait(STOP_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        server = await self._loop.create_server(self._protocol, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = _Watched(limit=2**22)
        return asyncio.StreamReaderProtocol(reader, lambda _, w: self._accept(reader, w))

    def _accept(self, reader: _Watched, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = self._loop.create_task(self._client(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _client(self, reader: _Watched, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                request = await _read(reader)
                reader.request = request
                self.requests.append(request)
                exchange = Exchange(request, writer)
                await self._behaviour(request)(exchange)
                if not exchange.done:
                    break
        writer.close()

    def _behaviour(self, request: Request) -> Behaviour:
        if request.key in self.by_key:
            return self.by_key[request.key or ""]
        if request.body.get("model") in self.by_model:
            return self.by_model[request.body["model"]]
        return self._script.popleft() if self._script else self.default


class _Watched(asyncio.StreamReader):
    """Tells the request that is being answered when its client goes away."""

    request: Request | None = None

    def feed_eof(self) -> None:
        super().feed_eof()
        self._gone()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)
        self._gone()

    def _gone(self) -> None:
        if self.request is not None:
            self.request.is_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    with contextlib.suppress(ValueError):
        return Request(method, path, headers, json.loads(body), time.monotonic())
    return Request(method, path, headers, {}, time.monotonic())
