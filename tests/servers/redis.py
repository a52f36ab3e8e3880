"""A private Redis."""

from __future__ import annotations

import socket

from tests.servers.private import PrivateServer


class Redis(PrivateServer):
    """redis-server on a loopback port; like a cache, it keeps nothing over a restart."""

    program = "redis-server"
    package = "redis-server"

    @property
    def url(self) -> str:
        """URL of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """No snapshots, no append-only file."""
        return [
            self.binary,
            *("--bind", "127.0.0.1"),
            *("--port", str(self.port)),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "no"),
        ]

    def answers(self) -> bool:
        """Whether it says PONG."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
