"""Addresses to listen on, and the sockets opened on them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import resource
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from maimconfig.serving.errors import ServeError

BACKLOG = 1024  # connections that wait to be accepted; the kernel caps it at net.core.somaxconn
FILES_WANTED = 8192

_EXPECTED = "expected host:port, for example 127.0.0.1:8000 or [::1]:8000"
_SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>; the socket module doesn't name it

# A classic BPF program, which the kernel runs on what arrives at a listening socket, from the TCP
# header on: load byte 13 (the flags), and if SYN is among them keep 0 bytes (drop), else all.
_DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


@dataclass(frozen=True)
class Bind:
    """Where a plane listens; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Read `host:port`, an IPv6 address in brackets.

        Raises:
            ValueError: with a sentence that says what was expected.
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        if not colon or not host or any(mark in host for mark in "[] \t"):
            raise ValueError(f"{text!r} is no address to listen on: {_EXPECTED}")
        if (":" in host) != bracketed:
            raise ValueError(f"{text!r} is unclear: an IPv6 address is written [::1]:8000")
        if not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
            raise ValueError(f"{text!r} has no port from 0 to 65535: {_EXPECTED}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def open_listener(bind: Bind) -> socket.socket:
    """Open a non-blocking, listening socket.

    Raises:
        ServeError: the address is in use, unknown or forbidden; the sentence names it.
    """
    with contextlib.ExitStack() as stack:
        try:
            family, kind, protocol, _, address = _resolve(bind)
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            _listen(listener, address)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that can't be a name
            raise ServeError(f"cannot listen on {bind}: {_reason(error)}") from error
        stack.pop_all()
    return listener


def address_of(listener: socket.socket) -> str:
    """The address a listener really has, as `host:port`."""
    host, port = listener.getsockname()[:2]
    return str(Bind(host, port))


def refuse_newcomers(listeners: Iterable[socket.socket]) -> None:
    """Let no new connection be made, and lose none that is.

    To close a listening socket resets the connections that wait in its backlog, and between the
    last accept() and close() another may always have come. So first the kernel is told to drop
    connection attempts: those in the backlog can then be accepted at leisure, and who comes later
    tries again by himself, and is refused or finds the next process. The socket may be shared: the
    filter holds for every process that has it. Where there is no such filter the gap of some
    microseconds remains.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN)
    memory = ctypes.create_string_buffer(program)
    option = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(memory))
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us, if it's fewer than 8192 now.

    Returns:
        How many files this process may have open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return FILES_WANTED
    if soft < FILES_WANTED and soft != hard:
        soft = FILES_WANTED if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def _resolve(bind: Bind) -> tuple[int, int, int, str, Any]:
    return socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]


def _listen(listener: socket.socket, address: Any) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        # Else the system decides whether [::]:8000 takes 0.0.0.0:8000 too.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(address)
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _reason(error: OSError | UnicodeError) -> str:
    reasons = {
        errno.EADDRINUSE: "another process already listens there",
        errno.EACCES: "this user may not use that port",
        errno.EADDRNOTAVAIL: "this machine has no such address",
    }
    if isinstance(error, OSError):
        return reasons.get(error.errno or 0) or error.strerror or str(error)
    return "that is no host name"
