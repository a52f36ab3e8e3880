"""A private Galera cluster: MariaDB nodes that each take writes and have all that was committed."""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

import pymysql

from tests.servers.mariadb import MariaDB, connect
from tests.servers.private import ServerUnavailable, find_program, free_port

PROVIDERS = (
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib/x86_64-linux-gnu/galera/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
)
JOIN_SECONDS = 120
# A node that is gone is left out after this; the defaults are 5 s and 15 s.
PROVIDER_OPTIONS = (
    "gcache.size=32M",
    "evs.keepalive_period=PT0.5S",
    "evs.suspect_timeout=PT2S",
    "evs.inactive_timeout=PT6S",
    "evs.install_timeout=PT6S",
    "pc.announce_timeout=PT1S",
)


class Node(MariaDB):
    """One node, on ports of its own; what it needs of the others is their group addresses."""

    def __init__(self, number: int, group_ports: list[int]) -> None:
        """Start; the first node begins the cluster, the others join it.

        Args:
            number: 0 for the first.
            group_ports: of all nodes, on which they talk to each other.

        Raises:
            ServerUnavailable: MariaDB or Galera isn't installed, or it doesn't start.
        """
        self.number = number
        self._group_ports = group_ports
        self._transfer_ports = free_port(), free_port()
        self._begins = number == 0
        self._position: str | None = None
        self._provider = _provider()
        find_program("rsync", package="rsync")
        super().__init__()
        self._begins = False

    def prepare(self) -> None:
        """Only the first node makes the system tables; the others get them from it."""
        if self._begins:
            super().prepare()
            return
        data = self.folder / "data"
        data.mkdir()
        self._own(data)

    def command(self) -> list[str]:
        """As a plain server, and a node of the cluster."""
        listen, (sst, ist) = self._group_ports[self.number], self._transfer_ports
        options = [
            f"gmcast.listen_addr=tcp://127.0.0.1:{listen}",
            f"ist.recv_addr=127.0.0.1:{ist}",
            *PROVIDER_OPTIONS,
        ]
        members = ",".join(f"127.0.0.1:{port}" for port in self._group_ports)
        return [
            *super().command(),
            "--wsrep-on=ON",
            f"--wsrep-provider={self._provider}",
            f"--wsrep-provider-options={';'.join(options)}",
            f"--wsrep-cluster-address=gcomm://{members}",
            f"--wsrep-node-name=node{self.number}",
            f"--wsrep-node-address=127.0.0.1:{listen}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{sst}",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            *(["--wsrep-new-cluster"] if self._begins else []),
            *([f"--wsrep-start-position={self._position}"] if self._position else []),
        ]

    def answers(self) -> bool:
        """Whether it has all that the cluster has, and takes statements."""
        return self.status("wsrep_local_state_comment", "wsrep_ready") == ["Synced", "ON"]

    def status(self, *names: str) -> list[str | None]:
        """Of its status variables, None for all while it can't be asked."""
        try:
            with contextlib.closing(connect(self.url)) as connection:
                cursor = connection.cursor()
                cursor.execute("SHOW GLOBAL STATUS LIKE 'wsrep%'")
                found = dict(cursor.fetchall())
        except (OSError, pymysql.err.Error):
            return [None] * len(names)
        return [found.get(name) for name in names]

    def count(self, name: str) -> int:
        """A status variable that counts."""
        (found,) = self.status(name)
        return int(found or 0)

    def rejoin(self) -> None:
        """Start after `stop` or `kill` and wait until it has what it missed.

        As Debian's unit does, InnoDB is asked first how far it had come, so that the others send
        only what came later.
        """
        self._position = self._recovered_position()
        self.start()

    def isolate(self, *, cut: bool = True) -> None:
        """Cut it off from the others, or let it find them again."""
        with contextlib.closing(connect(self.url)) as connection:
            connection.cursor().execute(
                f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={int(cut)}'"
            )

    def _recovered_position(self) -> str | None:
        done = subprocess.run(
            [*self.command(), "--wsrep-recover"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        found = re.findall(r"WSREP: Recovered position:\s*(\S+)", done.stdout + done.stderr)
        return found[-1] if found else None


class Galera:
    """Three nodes.

    Attributes:
        nodes: in the order in which they began.
    """

    def __init__(self, size: int = 3) -> None:
        """Start them one after the other.

        Raises:
            ServerUnavailable: they can't be had here.
        """
        ports = [free_port() for _ in range(size)]
        self.nodes: list[Node] = []
        try:
            for number in range(size):
                self.nodes.append(Node(number, ports))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all and delete their folders."""
        for node in self.nodes:
            node.close()

    def conflicts(self) -> dict[str, int]:
        """How often the nodes undid a transaction because another node's was there before it."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return {name: sum(node.count(name) for node in self.nodes) for name in names}


def _provider() -> str:
    for path in PROVIDERS:
        if Path(path).exists():
            return path
    raise ServerUnavailable("Galera is not installed (Debian: apt-get install galera-4)")
