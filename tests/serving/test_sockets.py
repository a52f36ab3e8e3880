"""Addresses and listeners."""

from __future__ import annotations

import resource
import socket

import pytest

from maimconfig.serving.errors import ServeError
from maimconfig.serving.sockets import (
    Bind,
    address_of,
    open_listener,
    raise_file_limit,
    refuse_newcomers,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000),
        ("[::1]:8000", "::1", 8000),
        ("[::]:0", "::", 0),
        ("localhost:65535", "localhost", 65535),
        ("0.0.0.0:80", "0.0.0.0", 80),
    ],
)
def test_parse(text: str, host: str, port: int) -> None:
    """host:port is read, an IPv6 address from brackets, and written back as it was."""
    assert Bind.parse(text) == Bind(host, port)
    assert str(Bind(host, port)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected host:port"),
        ("8000", "expected host:port"),
        (":8000", "expected host:port"),
        ("127.0.0.1", "expected host:port"),
        ("local host:80", "expected host:port"),
        ("[[::1]]:80", "expected host:port"),
        ("::1:8000", "an IPv6 address is written"),
        ("[localhost]:8000", "an IPv6 address is written"),
        ("localhost:", "no port from 0 to 65535"),
        ("localhost:http", "no port from 0 to 65535"),
        ("localhost:-1", "no port from 0 to 65535"),
        ("localhost:65536", "no port from 0 to 65535"),
        ("localhost:" + "9" * 5000, "no port from 0 to 65535"),
        ("localhost:٨٠", "no port from 0 to 65535"),
    ],
)
def test_parse_refuses(text: str, says: str) -> None:
    """Anything else is refused with a sentence that says what was expected."""
    with pytest.raises(ValueError, match=says):
        Bind.parse(text)


def test_open_listener() -> None:
    """A listener listens, doesn't block, and knows the port that the system chose."""
    with open_listener(Bind("127.0.0.1", 0)) as listener:
        bind = Bind.parse(address_of(listener))
        assert bind.host == "127.0.0.1"
        assert bind.port > 0
        assert not listener.getblocking()
        socket.create_connection((bind.host, bind.port)).close()


def test_address_in_use() -> None:
    """An address in use is named."""
    with open_listener(Bind("127.0.0.1", 0)) as listener:
        bind = Bind.parse(address_of(listener))
        with pytest.raises(ServeError, match=f"cannot listen on {bind}: another process already"):
            open_listener(bind)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("no-such-host.invalid", "cannot listen on no-such-host.invalid:0: "),
        ("192.0.2.1", "cannot listen on 192.0.2.1:0: this machine has no such address"),
        ("a..b", "cannot listen on a..b:0: that is no host name"),
    ],
)
def test_address_of_somebody_else(host: str, says: str) -> None:
    """An address that isn't ours is named, and the reason given."""
    with pytest.raises(ServeError, match=says):
        open_listener(Bind(host, 0))


def test_refuse_newcomers() -> None:
    """Who is in the backlog is still there, and who comes later doesn't get in."""
    with open_listener(Bind("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address) as early:
            refuse_newcomers([listener])
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)
            early.sendall(b"hello")
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(10)
                assert accepted.recv(5) == b"hello"
            with pytest.raises(BlockingIOError):
                listener.accept()


@pytest.mark.parametrize(
    ("limits", "allowed", "set_to"),
    [
        ((1024, 20000), 20000, (20000, 20000)),
        ((1024, 4096), 4096, (4096, 4096)),
        ((1024, resource.RLIM_INFINITY), 8192, (8192, resource.RLIM_INFINITY)),
        ((8192, 20000), 8192, None),
        ((512, 512), 512, None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 8192, None),
    ],
)
def test_raise_file_limit(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    allowed: int,
    set_to: tuple[int, int] | None,
) -> None:
    """A low limit of open files is raised to what the system allows; a good one is left."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: asked.append(new))
    assert raise_file_limit() == allowed
    assert asked == ([set_to] if set_to else [])
