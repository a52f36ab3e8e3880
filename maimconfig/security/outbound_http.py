"""HTTP requests under the outbound rules; import it only when there is one to send.

httpx resolves and connects far below its client, so the rules are a network backend of httpcore:
it resolves a name once, judges every address, and connects to an address it has judged. A name
that answers otherwise the next time (rebinding) gains nothing. TLS still asks for the host's name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio
import httpcore
import httpx

from maimconfig.security.outbound import Address, Allowed, is_permitted

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

KEEPALIVE_SECONDS = 30
KEEPALIVE_CONNECTIONS = 20


class AddressRefused(Exception):
    """The outbound rules refuse an address; nothing was sent."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system resolves it.

    Raises:
        OSError: it has none.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(row[4][0] for row in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to what the outbound rules permit, and to nothing else."""

    def __init__(self, allow: Sequence[Allowed], resolve: Resolve = resolve) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            AddressRefused: one of its addresses isn't permitted.
            httpcore.ConnectError, httpcore.ConnectTimeout: it can't be reached.
        """
        try:
            with anyio.fail_after(timeout):
                addresses = await self._permitted(host, port)
                return await self._first(addresses, port, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error

    async def _permitted(self, host: str, port: int) -> list[Address]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError from error
        addresses = [ipaddress.ip_address(text) for text in found]
        if not is_permitted(host, port, addresses, self._allow):
            raise AddressRefused
        return addresses

    async def _first(
        self,
        addresses: Sequence[Address],
        port: int,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        failed: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, None, local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failed = error
        raise failed or httpcore.ConnectError

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no address leads to a socket of this machine."""
        raise AddressRefused

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    """An answer's body as httpx wants it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """httpcore's pool over a given network backend; its own exceptions come through as they are.

    httpx's own transport takes no backend, and to put one into its private parts could one day
    fail without a word.
    """

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend | None, context: ssl.SSLContext
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=KEEPALIVE_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def tls_context() -> ssl.SSLContext:
    """What certificates are checked against: certifi's list, whatever the environment says."""
    return httpx.create_ssl_context(trust_env=False)


def client(
    backend: httpcore.AsyncNetworkBackend | None, context: ssl.SSLContext
) -> httpx.AsyncClient:
    """A client that follows no redirect, keeps no cookie and heeds no proxy of the environment.

    Args:
        backend: a GuardedBackend for addresses that a tenant brought; None connects anywhere.
        context: of TLS; `tls_context()`, which takes a while to make and may be shared.
    """
    return httpx.AsyncClient(
        transport=_Transport(backend, context),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def checked_url(text: str, *, trusted: bool) -> httpx.URL:
    """Read a provider's address.

    Args:
        trusted: the operator named it, so that it may hold a user and a password.

    Raises:
        AddressRefused: it is no http or https URL of a host, or has a user in it.
    """
    try:
        url = httpx.URL(text)
        authority = urlsplit(text).netloc
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused from error
    if url.scheme not in ("http", "https") or not url.host or not _has_good_port(authority):
        raise AddressRefused
    # `http://public.example\\@10.0.0.1` and its kin: what parsers don't agree upon is refused.
    if not trusted and ("@" in text or "\\" in text or text.strip() != text):
        raise AddressRefused
    return url


def _has_good_port(authority: str) -> bool:
    # httpx takes `+81`, `-1` and 0, others don't: in digits alone, or none at all.
    _, colon, port = authority.rpartition("@")[2].rpartition("]")[2].partition(":")
    return not colon or (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535)
