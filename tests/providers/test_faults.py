"""What a reply becomes when its provider fails, in each way; there is no other to turn to."""

from __future__ import annotations

from typing import Any

import pytest

from maimconfig.providers.service import Providers
from maimconfig.providers.types import Delta, Failure, Outcome
from tests.providers.asking import ask, target
from tests.servers import faulty_provider as faulty
from tests.servers.faulty_provider import Behaviour, FaultyProvider

TEXT = "Hello there!"
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def events(
    providers: Providers, provider: FaultyProvider, stream: bool, **fields: Any
) -> tuple[list[str], Outcome]:
    """The pieces of a reply and its end."""
    pieces = []
    reply = providers.start([target(provider, **fields)], ask(stream))
    while not isinstance(event := reply.next(5), Outcome):
        assert isinstance(event, Delta), "nothing for 5 s"
        pieces.append(event.content)
    assert reply.next(0) is event
    return pieces, event


@BOTH
def test_good(providers: Providers, provider: FaultyProvider, stream: bool) -> None:
    """A good answer comes whole, with the tokens that the provider tells."""
    pieces, end = events(providers, provider, stream)
    assert end.text == TEXT
    assert "".join(pieces) == (TEXT if stream else "")
    assert (end.tokens_in, end.tokens_out, end.estimated) == (12, 3, False)
    assert (end.failure, end.aborted, end.finish_reason) == (None, False, "stop")
    assert end.target is not None
    assert [a.shown()["status"] for a in end.attempts] == [200]


@BOTH
def test_without_usage(providers: Providers, provider: FaultyProvider, stream: bool) -> None:
    """Tokens that aren't told are estimated, and marked so."""
    provider.default = faulty.answer(usage=None)
    _, end = events(providers, provider, stream)
    assert (end.tokens_in, end.tokens_out, end.estimated) == (5, 4, True)


FAULTS: list[tuple[Behaviour, Failure, int | None]] = [
    (faulty.status(500), Failure.UNAVAILABLE, 500),
    (faulty.status(400), Failure.REFUSED, 400),
    (faulty.status(404), Failure.REFUSED, 404),
    (faulty.status(401), Failure.UNAUTHORIZED, 401),
    (faulty.status(403), Failure.UNAUTHORIZED, 403),
    (faulty.rate_limited("7"), Failure.RATE_LIMITED, 429),
    (faulty.silent(), Failure.TIMEOUT, None),
    (faulty.endless_headers(), Failure.BROKEN, None),
    (faulty.endless_headers(0.1), Failure.TIMEOUT, None),
    (faulty.hangs_up(), Failure.BROKEN, None),
    (faulty.raw(b"220 mail.example.com ESMTP\r\n"), Failure.BROKEN, None),
    (faulty.cut(after=0), Failure.BROKEN, 200),
    (faulty.lines("data: {nope\n\n"), Failure.BROKEN, 200),
    (faulty.lines("data: [1]\n\n"), Failure.BROKEN, 200),
    (faulty.lines('data: {"error": {"message": "busy"}}\n\n'), Failure.BROKEN, 200),
    (faulty.empty(), Failure.EMPTY, 200),
    (faulty.answer(" \n "), Failure.EMPTY, 200),
]


@BOTH
@pytest.mark.parametrize(("behaviour", "failure", "status"), FAULTS)
def test_fault(
    providers: Providers,
    provider: FaultyProvider,
    behaviour: Behaviour,
    failure: Failure,
    status: int | None,
    stream: bool,
) -> None:
    """Each fault has its failure, and nothing was produced."""
    provider.default = behaviour
    patience = {"timeout": 0.5 if failure is Failure.TIMEOUT else 4}
    pieces, end = events(providers, provider, stream, endpoint_fields=patience)
    assert (end.failure, [a.status for a in end.attempts]) == (failure, [status])
    assert (pieces, end.text, end.tokens_in, end.tokens_out) == ([], "", 0, 0)
    assert end.first_delta_ms is None


def test_retry_after(providers: Providers, provider: FaultyProvider) -> None:
    """What a provider asks to wait is told when it was all that limited."""
    provider.script(faulty.rate_limited("7"))
    assert events(providers, provider, False)[1].retry_after == 7


def test_no_connection(providers: Providers) -> None:
    """Where nobody listens there is no connection."""
    end = providers.start([target("http://127.0.0.1:1/v1")], ask()).wait()
    assert end.failure is Failure.CONNECT


def test_huge_answer(providers: Providers, provider: FaultyProvider) -> None:
    """Of an answer of 1 GB a few MiB are read, and its connection is closed."""
    provider.default = faulty.huge()
    _, end = events(providers, provider, False)
    assert end.failure is Failure.TOO_LARGE
    provider.requests[0].wait_closed(2)
    assert provider.requests[0].sent < 32 * 2**20


@pytest.mark.parametrize("behaviour", [faulty.endless_line(), faulty.endless_text()])
def test_endless_stream(
    providers: Providers, provider: FaultyProvider, behaviour: Behaviour
) -> None:
    """A stream without an end is cut at a line of 1 MiB or a text of 4 MiB."""
    provider.default = behaviour
    _, end = events(providers, provider, True)
    assert end.failure is Failure.TOO_LARGE
    assert len(end.text) <= 4 * 2**20


def test_bomb(providers: Providers, provider: FaultyProvider) -> None:
    """A compressed answer, which was not asked for, isn't unpacked."""
    provider.default = faulty.raw(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
    )
    _, end = events(providers, provider, False)
    assert end.failure is Failure.BROKEN
    assert provider.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [(faulty.cut(after=2), Failure.BROKEN), (faulty.stalls(after=2), Failure.TIMEOUT)],
    ids=["cut", "stalls"],
)
class TestBrokenStream:
    def test_stays_broken(
        self,
        providers: Providers,
        provider: FaultyProvider,
        other: FaultyProvider,
        behaviour: Behaviour,
        failure: Failure,
    ) -> None:
        """A stream that broke after its first delta is begun again nowhere; its text is kept."""
        provider.default = behaviour
        again = {"name": "b", "max_retry": 3}
        found = [target(provider, endpoint_fields={"max_retry": 3, "timeout": 0.3})]
        found.append(target(other, endpoint_fields=again))
        end = providers.start(found, ask(stream=True)).wait()
        assert (end.failure, end.text, end.finish_reason) == (failure, "Hello ", None)
        assert (end.tokens_in, end.tokens_out, end.estimated) == (5, 2, True)
        assert end.target == found[0]
        assert (len(provider.requests), len(other.requests)) == (1, 0)

    def test_collected(
        self,
        providers: Providers,
        provider: FaultyProvider,
        behaviour: Behaviour,
        failure: Failure,
    ) -> None:
        """One that is collected for a caller who saw nothing of it is asked again, from scratch."""
        provider.script(behaviour)
        fields = {"max_retry": 1, "timeout": 0.3, "retry_interval": 0}
        _, end = events(providers, provider, False, stream_only=True, endpoint_fields=fields)
        assert (end.failure, end.text) == (None, TEXT)
        assert [a.failure for a in end.attempts] == [failure, None]


class TestRequest:
    def test_body(self, providers: Providers, provider: FaultyProvider) -> None:
        """The model's settings go before the caller's wishes, and neither touch the protocol."""
        extra = {"enable_thinking": False, "stream": True, "headers": {"X-Team": "a", "Host": "b"}}
        found = target(provider, temperature=0.9, extra_params=extra)
        wanted = ask(params={"top_p": 0.5, "temperature": 0.1, "model": "other"})
        providers.start([found], wanted).wait()
        assert provider.requests[0].body == {
            "model": "model-id",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 100,
            "temperature": 0.9,
            "top_p": 0.5,
            "enable_thinking": False,
            "stream": False,
        }
        assert provider.requests[0].headers["x-team"] == "a"
        assert provider.requests[0].headers["host"] == f"127.0.0.1:{provider.port}"

    def test_address(self, providers: Providers, provider: FaultyProvider) -> None:
        """The path is put behind the address, before its query."""
        found = target(f"{provider.base_url}/?team=a")
        providers.start([found], ask()).wait()
        assert provider.requests[0].path == "/v1/chat/completions?team=a"

    def test_stream_options(self, providers: Providers, provider: FaultyProvider) -> None:
        """A provider that refuses stream_options is asked without, and that is remembered."""
        provider.default = faulty.refuses_stream_options()
        for _ in range(2):
            assert events(providers, provider, True)[1].text == TEXT
        told = ["stream_options" in request.body for request in provider.requests]
        assert told == [True, False, False]

    def test_connection_is_kept(self, providers: Providers, provider: FaultyProvider) -> None:
        """Replies one after the other share a connection, streams too."""
        for stream in (False, True, True, False):
            events(providers, provider, stream)
        assert provider.connections == 1

    def test_no_key(self, providers: Providers, provider: FaultyProvider) -> None:
        """Without a key there is no Authorization."""
        events(providers, provider, False, endpoint_fields={"api_keys": ()})
        assert "authorization" not in provider.requests[0].headers
