"""A server of other people's making that speaks OpenAI's protocol; it needs Python 3.11."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx
import pytest

from maimconfig.providers.service import Providers
from maimconfig.providers.types import Failure
from tests.providers.asking import ask, target
from tests.servers.private import PrivateServer


class MockAiApi(PrivateServer):
    """mock-ai-api of PyPI."""

    program = "python"
    package = "python3"

    def command(self) -> list[str]:
        """Its half that we speak to, by the Python that runs the tests."""
        served = ["-m", "uvicorn", "app.openai_app:app", "--host", "127.0.0.1"]
        return [sys.executable, *served, "--port", str(self.port)]

    def answers(self) -> bool:
        """Whether it is healthy."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", trust_env=False).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    """The address of the server."""
    server = MockAiApi()
    yield f"http://127.0.0.1:{server.port}/v1"
    server.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
class TestConformity:
    def test_answer(self, providers: Providers, mock: str, stream: bool) -> None:
        """It answers with a text and tells its tokens."""
        found = target(mock, identifier="gpt-4.1:mock-text", endpoint_fields={"timeout": 10})
        end = providers.start([found], ask(stream)).wait()
        assert (end.failure, end.finish_reason, end.estimated) == (None, "stop", False)
        assert end.text
        assert end.tokens_in > 0
        assert end.tokens_out > 0

    @pytest.mark.parametrize(
        ("scenario", "failure"),
        [
            ("400", Failure.REFUSED),
            ("401", Failure.UNAUTHORIZED),
            ("429", Failure.RATE_LIMITED),
            ("500", Failure.UNAVAILABLE),
        ],
    )
    def test_error(
        self, providers: Providers, mock: str, scenario: str, failure: Failure, stream: bool
    ) -> None:
        """Each of its errors is understood."""
        found = target(mock, identifier=f"gpt-4.1:mock-{scenario}", endpoint_fields={"timeout": 10})
        assert providers.start([found], ask(stream)).wait().failure is failure

    def test_tool_call(self, providers: Providers, mock: str, stream: bool) -> None:
        """A tool call without a text is an answer."""
        scenario = f"gpt-4.1:mock-tool-{'stream' if stream else 'call'}"
        found = target(mock, identifier=scenario, endpoint_fields={"timeout": 10})
        end = providers.start([found], ask(stream)).wait()
        assert (end.failure, end.finish_reason, end.text) == (None, "tool_calls", "")
