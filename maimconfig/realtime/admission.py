"""Who is let in: paths, origins, and how many connections an address has."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, urlsplit

from maimconfig.http.context import preferred_locale, rightmost_untrusted
from maimconfig.i18n import Locale
from maimconfig.realtime.fields import LARGEST_SEQ
from maimconfig.settings import Settings

if TYPE_CHECKING:
    from websockets.http11 import Request

_PATH = re.compile(r"/ws(?:/chat/([A-Za-z0-9_-]{1,50}))?/?\Z")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}  # names of one host to a browser


class Refused(Exception):
    """A handshake isn't answered with a WebSocket.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Visit:
    """What a handshake tells.

    Attributes:
        address: of the client, behind trusted proxies the one that they tell.
        session_id: that the path names.
        after_seq: for that session.
        token: as a parameter or a header.
    """

    address: str
    session_id: str | None
    after_seq: int | None
    token: str | None
    locale: Locale


class Admission:
    """Lets clients in, and counts them by address."""

    def __init__(self, settings: Settings, connections: int) -> None:
        """Begin with none.

        Args:
            connections: that this process may have at most.
        """
        self._settings = settings
        self._most = connections
        self._by_address: Counter[str] = Counter()
        self._count = 0

    def visit(self, request: Request, peer: str) -> Visit:
        """Read a handshake.

        Args:
            peer: address at the other end of the socket.

        Raises:
            Refused: the path, the origin or a parameter is wrong.
        """
        parts = _split(request.path)
        path = _PATH.match(parts.path)
        if path is None:
            raise Refused(HTTPStatus.NOT_FOUND, "WebSockets are at /ws and /ws/chat/{session_id}")
        self._check_origin(request)
        query = _query(parts.query)
        token = query.get("token", [None])[0] or _bearer(_header(request, "Authorization"))
        return Visit(
            self._address(request, peer),
            path[1],
            _after_seq(query.get("after_seq", [""])[0]),
            token,
            preferred_locale(_header(request, "Accept-Language")),
        )

    def enter(self, address: str) -> None:
        """Count one in.

        Raises:
            Refused: the address, or the process, has as many as it may have.
        """
        if self._by_address[address] >= self._settings.realtime_connections_per_address:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many connections from this address")
        if self._count >= self._most:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "this process is full")
        self._by_address[address] += 1
        self._count += 1

    def leave(self, address: str) -> None:
        """Count one out."""
        self._by_address[address] -= 1
        self._count -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def _check_origin(self, request: Request) -> None:
        """A browser's page must be of this host or of the list; whoever sends none is no page."""
        origins = request.headers.get_all("Origin")
        if not origins:
            return
        origin = origins[0] if len(origins) == 1 else ""
        if origin in self._settings.cors_origins:
            return
        place, own = _host_of(origin), _host_of("//" + _header(request, "Host"))
        if place is None or not (place == own or {place, own} <= _LOOPBACK):
            raise Refused(HTTPStatus.FORBIDDEN, "this origin may not connect")

    def _address(self, request: Request, peer: str) -> str:
        forwarded = ",".join(request.headers.get_all("X-Forwarded-For"))
        if not (forwarded and self._settings.trusted_proxies):
            return peer
        return rightmost_untrusted([*forwarded.split(","), peer], self._settings.trusted_proxies)


def _header(request: Request, name: str) -> str:
    return ",".join(request.headers.get_all(name))


def _bearer(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _split(path: str) -> SplitResult:
    try:
        return urlsplit(path)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no path") from error


def _query(text: str) -> dict[str, list[str]]:
    try:
        return parse_qs(text, max_num_fields=20)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "too many parameters") from error


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _after_seq(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_SEQ):
        raise Refused(HTTPStatus.BAD_REQUEST, "after_seq must be a whole number from 0")
    return int(text)
