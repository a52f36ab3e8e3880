"""A private nginx with the configuration of deploy/, on loopback ports."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.private import PrivateServer, free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "nginx.conf"
PUBLIC, REALTIME = "127.0.0.1:8880", "127.0.0.1:8001"
_OPTIONS = "fail_timeout=2s"


class Nginx(PrivateServer):
    """nginx before the planes of a service.

    Attributes:
        certificate: that its callers have to trust.
    """

    program = "nginx"
    package = "nginx"

    def __init__(self, upstreams: Mapping[str, str | Sequence[str]]) -> None:
        """
        Args:
            upstreams: PUBLIC or REALTIME -> host:port of the plane, on one machine or several.
        """
        self._upstreams = {
            known: [here] if isinstance(here, str) else here for known, here in upstreams.items()
        }
        self._plain_port = free_port()
        super().__init__()

    @property
    def url(self) -> str:
        """Of the TLS server."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def plain_url(self) -> str:
        """Of the server that only redirects."""
        return f"http://127.0.0.1:{self._plain_port}"

    @property
    def certificate(self) -> Path:
        """That its callers have to trust."""
        return self.folder / "fullchain.pem"

    @property
    def access_log(self) -> str:
        """A line a request."""
        return (self.folder / "access.log").read_text("utf-8")

    def prepare(self) -> None:
        """Make the certificate and the configuration."""
        self.run_once(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(self.folder / "privkey.pem"), "-out", str(self.certificate)]
        )  # fmt: skip
        (self.folder / "nginx.conf").write_text(self._configured(), "utf-8")

    def command(self) -> list[str]:
        """In the foreground."""
        file = str(self.folder / "nginx.conf")
        return [self.binary, "-p", str(self.folder), "-c", file, "-g", "daemon off;"]

    def answers(self) -> bool:
        """Whether it accepts connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def check(self) -> str:
        """What nginx says of the configuration."""
        done = subprocess.run(
            [*self.command()[:-2], "-t"], capture_output=True, text=True, check=False
        )
        return done.stderr

    def _configured(self) -> str:
        """The configuration with this place's ports and folders.

        Raises:
            AssertionError: it isn't as expected, so the file and this class have to be looked at.
        """
        text = CONFIGURATION.read_text("utf-8")
        for known, here in self._places().items():
            assert text.count(known) == 1, (known, text.count(known))
            text = text.replace(known, here)
        return text

    def _places(self) -> dict[str, str]:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"    {kind}_temp_path {self.folder}/{kind};\n" for kind in kinds)
        return {
            "listen 443 ssl http2;": f"listen 127.0.0.1:{self.port} ssl http2;",
            "listen [::]:443 ssl http2;": "",
            "listen 80;": f"listen 127.0.0.1:{self._plain_port};",
            "listen [::]:80;": "",
            # Whom the folder belongs to; nobody but root may choose.
            "user www-data;": "user root;" if os.getuid() == 0 else "",
            "worker_processes auto;": "worker_processes 2;",
            "pid /run/nginx.pid;": f"pid {self.folder}/nginx.pid;",
            "/var/log/nginx/error.log": f"{self.folder}/error.log",
            "/var/log/nginx/access.log": f"{self.folder}/access.log",
            "/etc/nginx/tls/fullchain.pem": str(self.certificate),
            "/etc/nginx/tls/privkey.pem": f"{self.folder}/privkey.pem",
            "http {": f"http {{\n{temporary}",
            **{
                f"server {known} {_OPTIONS};": "".join(f"server {one} {_OPTIONS};" for one in here)
                for known, here in self._upstreams.items()
            },
        }
