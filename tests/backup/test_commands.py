"""`maimconfig backup` and `maimconfig restore`, beside a service that writes."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from maimconfig.app import create_app
from tests.api import Api
from tests.backup.stores import empty_store, is_consistent
from tests.cli.command import fails, succeeds
from tests.contract.harness import Remote
from tests.db.opening import opened
from tests.servers.service import LiveService

VALIDATE = "/api/v2/auth/validate-api-key"


@pytest.fixture
def busy(live_service: Callable[..., LiveService], database_url: str) -> tuple[LiveService, str]:
    """A service on a database of its own, and that one's URL."""
    return live_service(database_url, "--auto-migrate"), database_url


def test_under_load(busy: tuple[LiveService, str], tmp_path: Path, mysql_server_url: str) -> None:
    """A backup that is made while agents and keys come and go restores, into either database, to
    a state in which no reference dangles, counters equal rows, and keys are good; and what a
    database holds is replaced only by force."""
    service, url = busy
    with Remote(service.internal) as api:
        steady = api.key()["api_key"]
    file = tmp_path / "backup.gz"
    made = write_meanwhile(
        service.internal,
        lambda: succeeds("backup", str(file), instance=service.instance, DATABASE_URL=url),
    )
    assert made > 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for kind in ("sqlite", "mysql"):
        with empty_store(kind, tmp_path, mysql_server_url) as target:
            succeeds("restore", str(file), instance=service.instance, DATABASE_URL=target)
            assert "--force" in fails(
                "restore", str(file), instance=service.instance, DATABASE_URL=target
            )
            is_consistent(target)
            assert is_good(steady, service.instance, target)


def write_meanwhile(internal: str, work: Callable[[], object]) -> int:
    """Make and delete agents and keys while `work` runs; how many were made."""
    stopped = threading.Event()
    made: list[str] = []

    def write() -> None:
        with Remote(internal) as api:
            while not stopped.is_set():
                key = api.key()
                made.append(key["id"])
                if len(made) % 2:
                    api.data("DELETE", f"/api/v2/agents/{key['agent_id']}")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        work()
    finally:
        stopped.set()
        for writer in writers:
            writer.join()
    return len(made)


def is_good(api_key: str, instance: Path, database_url: str) -> bool:
    """Whether a service on the database takes a key for good."""
    with opened(database_url, instance, auto_migrate=False) as runtime:
        api = Api(create_app("internal", runtime))
        return api.data(api.post(VALIDATE, {"api_key": api_key}))["valid"]
