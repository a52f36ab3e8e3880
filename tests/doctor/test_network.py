"""What the doctor asks over the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from maimconfig.doctor import network
from maimconfig.settings import load_settings


@contextmanager
def provider(status: int) -> Iterator[tuple[str, list[str]]]:
    """An AI provider that answers everything with one status: its base URL, and what it was
    shown as keys."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", keys
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "ok"), (404, "ok"), (401, "error"), (403, "error"), (503, "warning")],
)
def test_providers(status: int, level: str, tmp_path: Any) -> None:
    """A provider that takes the key is well, also one that lists no models; one that refuses it
    is an error, and one that is unwell may recover."""
    with provider(status) as (url, keys):
        variables = {
            "MAIMCONFIG_INSTANCE": str(tmp_path),
            "OPENAI_API_KEY": "sk-first,sk-second",
            "OPENAI_BASE_URL": url,
        }
        found = list(network.providers(load_settings(variables)))
    assert [(finding.level, finding.subject) for finding in found] == [(level, "providers")]
    assert (found[0].advice == "") == (level == "ok")
    assert keys == ["/v1/models Bearer sk-first"]


def test_no_provider(tmp_path: Any) -> None:
    """Without a provider the service answers by itself only, which is said."""
    [found] = network.providers(load_settings({"MAIMCONFIG_INSTANCE": str(tmp_path)}))
    assert found.level == "warning"
    assert "DASHSCOPE_API_KEY" in found.advice


def test_redis(redis_url: str) -> None:
    """A Redis that answers is well; one that doesn't costs speed, and so is a warning; where none
    is set one process and its gateway lack nothing, and several miss what passes between them."""

    def levels(url: str | None, workers: int = 1, gateway: Any = "127.0.0.1:8001") -> list[str]:
        settings: Any = SimpleNamespace(redis_url=url, workers=workers, realtime_bind=gateway)
        return [finding.level for finding in network.redis(settings)]

    assert levels(redis_url) == ["ok"]
    assert levels("redis://127.0.0.1:1/0") == ["warning"]
    assert levels(None) == levels(None, workers=2, gateway=None) == []
    assert levels(None, workers=2) == ["warning"]
