"""`maimconfig create-admin`"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.cli.command import fails, succeeds
from tests.servers.service import LiveService


def test_password_is_good(live_service: type[LiveService], migrated_database_url: str) -> None:
    """The administrator can log in to the running service with the password that was shown."""
    service = live_service(migrated_database_url)
    of = {"instance": service.instance, "DATABASE_URL": migrated_database_url}
    said = succeeds("create-admin", "root", "--email", "root@example.com", **of)
    password = said.splitlines()[-1].rpartition(": ")[2]
    for name in ("root", "root@example.com"):
        body = {"username": name, "password": password}
        answer = httpx.post(f"{service.public}/api/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
    assert password not in service.log


def test_taken_name(instance_folder: Path) -> None:
    """A name that is taken is refused with one sentence."""
    succeeds("create-admin", "root", instance=instance_folder)
    sentence = fails("create-admin", "ROOT", instance=instance_folder)
    assert sentence == "username or email is taken"


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_empty_database(instance_folder: Path, database_url: str) -> None:
    """On a database without tables it's said what is to be done first."""
    sentence = fails("create-admin", "root", instance=instance_folder, DATABASE_URL=database_url)
    assert "`maimconfig db upgrade`" in sentence
