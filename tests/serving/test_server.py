"""One plane's listener and its connections."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from maimconfig.serving.server import PlaneServer

Serve = Callable[[int], PlaneServer]


def nothing(_environ: Any, start_response: Any) -> list[bytes]:
    """An app that is never asked."""
    start_response("204 No Content", [])
    return []


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a plane that takes so many connections, whose loop the test turns."""
    with contextlib.ExitStack() as stack:

        def started(connections: int) -> PlaneServer:
            listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            listener.setblocking(False)
            plane = PlaneServer("toy", nothing, listener, {}, threads=1, connections=connections)
            stack.callback(plane.close_trigger)
            stack.callback(plane.end)
            stack.callback(plane.stop_accepting)
            return plane

        yield started


@pytest.fixture
def crowd() -> Iterator[Callable[[PlaneServer, int], None]]:
    """Lets so many clients connect to a plane, and stay."""
    with contextlib.ExitStack() as stack:

        def connect(plane: PlaneServer, number: int) -> None:
            for _ in range(number):
                stack.enter_context(socket.create_connection(plane.socket.getsockname()))

        yield connect


def turns_until(plane: PlaneServer, number: int) -> int:
    """How many turns of the loop it takes to have so many connections open."""
    turns = 0
    while len(plane.active_channels) < number and turns < number:
        turns += 1
        if plane.readable():
            plane.handle_accept()
    assert len(plane.active_channels) == number
    return turns


def test_a_crowd(serve: Serve, crowd: Callable[[PlaneServer, int], None]) -> None:
    """Of a crowd the more are taken in at a turn the more are open, so the last don't wait for
    as many turns as there are others."""
    plane = serve(1000)
    crowd(plane, 400)
    assert turns_until(plane, 20) == 20
    assert turns_until(plane, 400) < 400 / 2


def test_not_more_than_its_most(serve: Serve, crowd: Callable[[PlaneServer, int], None]) -> None:
    """However many wait, no more are open than a plane may have."""
    plane = serve(201)
    crowd(plane, 240)
    turns_until(plane, 201)
    assert not plane.readable()
