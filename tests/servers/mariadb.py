"""A private MariaDB, and databases that live as long as one test."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pymysql
from sqlalchemy.engine import make_url

from tests.servers.private import PrivateServer, find_program

DROP_WAIT_SECONDS = 10


class MariaDB(PrivateServer):
    """mariadbd on a loopback port, with small buffers.

    What is committed outlives a kill of the server, not a power cut: nothing waits for the disk.

    Its defaults are what a careless installation has (latin1, no strict mode, another time zone),
    so the code under test must set what it relies on.
    """

    program = "mariadbd"
    package = "mariadb-server"
    unprivileged_user = "mysql"

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the server, without a database."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/"

    def prepare(self) -> None:
        """Make the system tables."""
        install = find_program("mariadb-install-db", package=self.package)
        self.run_once(
            [
                install,
                "--no-defaults",
                "--force",  # also where the machine's own name can't be looked up
                *self._places(),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                *_SMALL,
            ]
        )

    def command(self) -> list[str]:
        """Everything is given here; the machine's own configuration is not read."""
        return [
            self.binary,
            "--no-defaults",
            *self._places(),
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--max-connections=500",
            "--character-set-server=latin1",
            "--collation-server=latin1_swedish_ci",
            "--sql-mode=",
            "--default-time-zone=+08:00",
            *_SMALL,
        ]

    def _places(self) -> list[str]:
        # A starting server deletes the temporary tables that it finds in tmpdir, so a folder that
        # is shared with others would cost them theirs.
        return [f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}"]

    def answers(self) -> bool:
        """Whether root can log in."""
        try:
            connect(self.url).close()
        except (OSError, pymysql.err.OperationalError):
            return False
        return True


_SMALL = [
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--performance-schema=OFF",
]


@contextlib.contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """A new, empty database; yields its URL and drops it afterwards.

    Args:
        server_url: of an account that may create databases.
    """
    name = f"t_{secrets.token_hex(8)}"
    with contextlib.closing(connect(server_url)) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with contextlib.closing(connect(server_url)) as connection:
            cursor = connection.cursor()
            # A transaction that a test left open would otherwise hold this up for a day.
            cursor.execute(f"SET lock_wait_timeout = {DROP_WAIT_SECONDS}")
            cursor.execute(f"DROP DATABASE {name}")


def connect(url: str) -> pymysql.Connection:
    """A plain connection to the URL's server and, when it names one, its database."""
    parts = make_url(url)
    return pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.database or None,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=5,
        read_timeout=30,
        # Reading the certificates of the authorities takes longer than most tests.
        ssl_disabled=parts.host == "127.0.0.1",
    )
