"""One MariaDB for all workers."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest

from tests.servers.mariadb import MariaDB, connect
from tests.servers.private import ServerUnavailable
from tests.servers.shared import SharedMariaDB, ask


def test_all_workers_get_one_server(mysql_server_url: str) -> None:
    """Workers that ask at once are told one URL, which is dead after the controller's end."""
    with contextlib.closing(SharedMariaDB()) as controller:
        address = controller.address()
        with ThreadPoolExecutor(4) as workers:
            urls = set(workers.map(ask, [address] * 4))
        assert urls == {controller.url()}
        assert urls != {mysql_server_url}
        connect(controller.url()).close()
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        connect(urls.pop())


def test_workers_hear_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker gets the controller's reason, for its skips."""
    monkeypatch.setattr(MariaDB, "program", "no-such-mariadbd")
    with contextlib.closing(SharedMariaDB()) as controller:
        address = controller.address()
        for _ in range(2):
            with pytest.raises(ServerUnavailable, match="not installed"):
                ask(address)
