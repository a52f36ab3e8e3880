"""Replies for threads: offline, cancelled, side by side, at the process's end, after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from structlog.testing import CapturingLogger

from maimconfig import tracing
from maimconfig.providers import service
from maimconfig.providers.service import Providers, ProvidersClosed
from maimconfig.providers.types import Delta, Failure, Outcome
from tests.providers.asking import KEY, ask, endpoint, target
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, FaultyProvider


class TestOffline:
    def test_stream(self, providers: Providers) -> None:
        """Without a target the offline provider answers, by estimated tokens."""
        reply = providers.start([], ask(stream=True))
        assert reply.next(0) == Delta("offline text")
        end = reply.next(0)
        assert isinstance(end, Outcome)
        assert (end.text, end.target, end.failure) == ("offline text", None, None)
        assert (end.tokens_in, end.tokens_out, end.estimated) == (5, 4, True)

    def test_cheap(self) -> None:
        """An idle service doesn't load httpx, nor does the offline provider start a thread."""
        code = (
            "import sys, threading; from maimconfig.providers.service import Providers;"
            "from maimconfig import runtime; from tests.providers.asking import ask;"
            "p = Providers(()); p.start([], ask()).wait(); p.close();"
            "print('httpx' in sys.modules, threading.active_count())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["False", "1"]


class TestCancel:
    @pytest.mark.parametrize(
        ("behaviour", "text"),
        [
            (faulty.silent(), ""),
            (faulty.stalls(after=2), "Hello "),
            (faulty.endless_headers(0.05), ""),
            (faulty.trickle(1000, 0.02, "w"), "w"),
        ],
        ids=["silent", "stalls", "headers", "talks"],
    )
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_closes(
        self,
        providers: Providers,
        provider: FaultyProvider,
        behaviour: Behaviour,
        text: str,
        stream: bool,
    ) -> None:
        """The provider's side sees the close within 2 s, and the text so far is kept."""
        provider.default = behaviour
        found = target(provider, stream_only=True, endpoint_fields={"timeout": 30})
        reply = providers.start([found], ask(stream))
        until = time.monotonic() + 5
        while not provider.requests and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
        cancelled = time.monotonic()
        reply.cancel()
        reply.cancel()
        end = reply.wait()
        assert (end.aborted, end.failure) == (True, None)
        assert end.text.startswith(text)
        assert bool(end.tokens_out) == bool(end.tokens_in) == bool(text)
        assert provider.requests[0].wait_closed(2) - cancelled < 2

    def test_at_once(self, providers: Providers, provider: FaultyProvider) -> None:
        """A cancel that comes before anything happened ends it too."""
        reply = providers.start([target(provider)], ask())
        reply.cancel()
        assert reply.wait().aborted

    def test_afterwards(self, providers: Providers, provider: FaultyProvider) -> None:
        """A cancel after the end changes nothing."""
        reply = providers.start([target(provider)], ask())
        end = reply.wait()
        reply.cancel()
        assert reply.wait() is end
        assert not end.aborted

    def test_probe(self, provider: FaultyProvider) -> None:
        """A probe that is given up leaves the next one its turn."""
        providers = Providers((), rest_seconds=0)
        provider.default = faulty.status(500)
        for _ in range(5):
            providers.start([target(provider)], ask()).wait()
        provider.default = faulty.silent()
        reply = providers.start([target(provider, endpoint_fields={})], ask())
        time.sleep(0.1)
        reply.cancel()
        reply.wait()
        provider.default = faulty.answer()
        assert providers.start([target(provider)], ask()).wait().failure is None
        providers.close()


def test_nothing_yet(providers: Providers, provider: FaultyProvider) -> None:
    """`next` says None when nothing came in its time."""
    provider.default = faulty.slow(0.5)
    reply = providers.start([target(provider)], ask())
    assert reply.next(0.05) is None
    assert reply.next(0) is None
    assert reply.wait().failure is None


def test_side_by_side(providers: Providers, provider: FaultyProvider) -> None:
    """A hundred replies wait for their provider at the same time, on one thread."""
    provider.default = faulty.slow(0.5, faulty.echo())
    before = threading.active_count()
    began = time.monotonic()
    replies = [
        providers.start([target(provider, endpoint_fields={"timeout": 20})], ask(messages=[m]))
        for m in ({"role": "user", "content": str(n)} for n in range(100))
    ]
    assert [reply.wait().text for reply in replies] == [f"echo: {n}" for n in range(100)]
    assert time.monotonic() - began < 10
    assert threading.active_count() - before <= 1


class TestEnd:
    def test_close(self, provider: FaultyProvider) -> None:
        """`close` ends what is under way, its connections and its thread; then nothing begins."""
        provider.default = faulty.silent()
        providers = Providers(())
        found = target(provider, endpoint_fields={"timeout": 30})
        replies = [providers.start([found], ask()) for _ in range(5)]
        providers.close()
        assert all(reply.wait().aborted for reply in replies)
        for request in provider.requests:
            request.wait_closed(2)
        assert "providers" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(ProvidersClosed):
            providers.start([found], ask())
        providers.close()

    def test_fork(self, provider: FaultyProvider) -> None:
        """A process that forked has a loop of its own."""
        code = (
            "import os, sys; from maimconfig.providers.service import Providers;"
            "from tests.providers.asking import ask, target;"
            f"t = [target({provider.base_url!r})]; p = Providers(());"
            "a = p.start(t, ask()).wait().text; pid = os.fork();"
            "b = p.start(t, ask()).wait().text;"
            "pid and os.waitpid(pid, 0); print(a == b); sys.stdout.flush(); pid or os._exit(0)"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env=os.environ,
        )
        assert done.stdout.split() == ["True", "True"]


class TestSecrets:
    @pytest.mark.parametrize("code", [302, 400, 401, 429, 500])
    def test_key(
        self,
        providers: Providers,
        provider: FaultyProvider,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        code: int,
    ) -> None:
        """A provider that echoes the key gets it into no outcome and no log."""
        caplog.set_level(0)
        provider.default = faulty.status(code)
        end = providers.start([target(provider)], ask(stream=True)).wait()
        assert provider.requests[0].key == KEY
        shown = capfd.readouterr()
        seen = (repr(end), repr([a.shown() for a in end.attempts]), shown.out, shown.err)
        assert not [text for text in (*seen, caplog.text) if KEY in text]
        assert KEY not in repr(endpoint(provider))
        assert KEY not in str(providers.endpoints())

    def test_bug(self, providers: Providers, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even an error of our own ends the reply; the log has its place, and not its text."""

        class Hostile:
            def __iter__(self) -> None:
                raise RuntimeError(KEY)

        log = CapturingLogger()
        monkeypatch.setattr(service, "log", log)
        found = target("http://127.0.0.1:1/v1")
        end = providers.start([found], ask(messages=Hostile())).wait()
        assert end.failure is Failure.BROKEN
        (told,) = log.calls
        assert KEY not in repr(told)
        assert told.kwargs["place"].startswith(f"{__file__}:")


def test_trace(providers: Providers, provider: FaultyProvider) -> None:
    """The trace of whoever asks goes on to the provider; without one nothing is said of any."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    tracing.begin({"HTTP_TRACEPARENT": f"00-{trace}-00f067aa0ba902b7-01"})
    providers.start([target(provider)], ask()).wait()
    tracing.begin({})
    providers.start([target(provider)], ask()).wait()
    traced, untraced = (request.headers for request in provider.requests)
    assert traced["traceparent"].startswith(f"00-{trace}-")
    assert "traceparent" not in untraced
