"""A service behind the nginx of deploy/."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.servers.faulty_provider import FaultyProvider
from tests.servers.nginx import PUBLIC, Nginx
from tests.servers.private import ServerUnavailable
from tests.servers.service import LiveService
from tests.serving.harness import PATIENCE


@dataclass
class Site:
    """What stands between callers and an AI provider.

    Attributes:
        service: two workers that trust nginx.
        provider: what answers chats.
    """

    nginx: Nginx
    service: LiveService
    provider: FaultyProvider

    def caller(self) -> httpx.Client:
        """A caller of nginx who trusts its certificate."""
        return httpx.Client(base_url=self.nginx.url, verify=self.tls(), timeout=PATIENCE)

    def connection(self) -> http.client.HTTPSConnection:
        """A bare connection to nginx, not opened yet."""
        parts = urlsplit(self.nginx.url)
        return http.client.HTTPSConnection(
            str(parts.hostname), parts.port, context=self.tls(), timeout=PATIENCE
        )

    def tls(self) -> ssl.SSLContext:
        """Trusts nginx's certificate alone."""
        return ssl.create_default_context(cafile=str(self.nginx.certificate))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """nginx, two workers on SQLite, and a provider."""
    folder: Path = tmp_path_factory.mktemp("site")
    with contextlib.ExitStack() as ends:
        provider = ends.enter_context(FaultyProvider())
        env = {
            "MAIMCONFIG_TRUSTED_PROXIES": "127.0.0.1",
            "OPENAI_API_KEY": "sk-operators",
            "OPENAI_BASE_URL": provider.base_url,
        }
        service = LiveService(folder, None, "--workers", "2", env=env)
        ends.callback(service.close)
        try:
            nginx = Nginx({PUBLIC: urlsplit(service.public).netloc})
        except ServerUnavailable as reason:
            pytest.skip(str(reason))
        ends.callback(nginx.close)
        yield Site(nginx, service, provider)
