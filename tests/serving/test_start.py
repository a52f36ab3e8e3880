"""How a start fails, and how it is interrupted."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serving.harness import Toy, eventually

Launch = Callable[..., Toy]

both = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def taken() -> Iterator[str]:
    """An address on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@both
def test_port_in_use(launch: Launch, taken: str, workers: int) -> None:
    """A port in use ends the start with a sentence that names it, and exit code 1."""
    toy = launch(binds={"internal": "127.0.0.1:0", "public": taken}, workers=workers)
    assert toy.ended() == 1
    sentence = f"maimconfig: cannot listen on {taken}: another process already listens there\n"
    assert toy.errors == sentence
    assert toy.output == ""
    assert not toy.notes("warm")


@both
def test_sentence_from_make_apps(launch: Launch, workers: int) -> None:
    """A ServeError of make_apps is shown once, however many workers there are."""
    toy = launch(start="sentence", workers=workers)
    assert toy.ended() == 1
    assert toy.errors == "maimconfig: the toy is broken\n"
    assert toy.output == ""


@both
def test_bug_in_make_apps(launch: Launch, workers: int) -> None:
    """Any other exception of make_apps becomes one line, not a traceback."""
    toy = launch(start="bug", workers=workers)
    assert toy.ended() == 1
    expected = "maimconfig: the service could not start: LookupError: no spring in the toy\n"
    assert toy.errors == expected


@both
def test_plane_without_app(launch: Launch, workers: int) -> None:
    """An address for a plane that has no app is said, and what make_apps opened is closed."""
    toy = launch(apps=["internal"], workers=workers)
    assert toy.ended() == 1
    assert toy.errors == "maimconfig: there is no app for the plane public\n"
    assert len(toy.notes("close")) == 1


@both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_starting(launch: Launch, workers: int, number: signal.Signals) -> None:
    """A signal while the apps are made ends the start at once, without a word, with exit 0."""
    toy = launch(start="hang", workers=workers)
    eventually(lambda: toy.notes("starting"))
    toy.signal(number)
    assert toy.ended(within=30) == 0
    assert (toy.output, toy.errors) == ("", "")


def test_warm_once(launch: Launch) -> None:
    """What workers share is imported once, in the parent."""
    toy = launch(workers=2).announced()
    eventually(lambda: len(toy.workers()) == 2)
    assert toy.notes("warm") == [["warm", str(toy.process.pid)]]
    assert toy.terminate() == 0


@both
def test_systemd_is_told(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """systemd hears READY=1 and STOPPING=1, each once and from the first process."""
    monkeypatch.chdir(tmp_path)  # a socket's path is at most 107 bytes long
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        manager.settimeout(30)
        toy = launch(workers=workers).announced()
        assert manager.recv(100) == b"READY=1"
        assert toy.terminate() == 0
        assert manager.recv(100) == b"STOPPING=1"
        manager.settimeout(0.1)
        with pytest.raises(TimeoutError):
            manager.recv(100)
