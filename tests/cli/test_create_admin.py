"""`maimconfig create-admin`, and the first administrator from the settings."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.cli.command import LIMIT_SECONDS, environment, maimconfig
from tests.factories.users import PASSWORD
from tests.servers.service import LiveService

EMAIL = "root@example.com"


def log_in(service: LiveService, password: str, **name: str) -> httpx.Response:
    """A login over a socket."""
    body = {**name, "password": password}
    return httpx.post(f"{service.public}/api/v1/auth/login", json=body)


def on_a_terminal(instance: Path, url: str, answers: list[str]) -> tuple[int, str]:
    """Run `create-admin` on a terminal, and answer its questions; its exit code and its text."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "maimconfig", "create-admin", "root"],
        env=environment(instance, DATABASE_URL=url),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    waiting = list(answers)
    while select.select([ours], [], [], LIMIT_SECONDS)[0]:
        try:
            text = os.read(ours, 4096).decode()
        except OSError:  # so a terminal says that nobody is there any more
            break
        shown += text
        if not text:
            break
        if waiting and re.search(r"(Password|confirmation): $", shown):
            os.write(ours, f"{waiting.pop(0)}\n".encode())
            shown += "\n"
    os.close(ours)
    return process.wait(LIMIT_SECONDS), shown


def test_without_a_terminal(live_service: Callable[..., LiveService], database_url: str) -> None:
    """A password is made and shown once; the administrator logs in with it."""
    service = live_service(database_url, "--auto-migrate")
    done = maimconfig(
        "create-admin", "root", "--email", EMAIL, instance=service.instance,
        DATABASE_URL=database_url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    password = re.search(r"shown this once: (\S{12,})", done.stdout)[1]
    assert password not in done.stderr
    found = log_in(service, password, email=EMAIL).raise_for_status().json()
    assert (found["user"]["username"], found["user"]["role"]) == ("root", "admin")
    again = maimconfig("create-admin", "ROOT", instance=service.instance, DATABASE_URL=database_url)
    assert again.returncode != 0
    assert "Traceback" not in again.stderr
    assert again.stderr.strip()


def test_on_a_terminal(live_service: Callable[..., LiveService], database_url: str) -> None:
    """On a terminal the password is asked for twice, and never shown."""
    service = live_service(database_url, "--auto-migrate")
    code, shown = on_a_terminal(service.instance, database_url, [PASSWORD, PASSWORD])
    assert code == 0, shown
    assert PASSWORD not in shown
    assert log_in(service, PASSWORD, username="root").status_code == 200


def test_a_short_one(live_service: Callable[..., LiveService], tmp_path: Path) -> None:
    """What is no password makes no administrator."""
    url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(url)
    code, shown = on_a_terminal(service.instance, url, ["short", "short"])
    assert code != 0
    assert "8 to 128" in shown
    assert log_in(service, "short", username="root").status_code == 401


@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
def test_no_name(name: str, tmp_path: Path) -> None:
    """What is no username is refused in words."""
    done = maimconfig("create-admin", name, instance=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_from_the_settings(live_service: Callable[..., LiveService], database_url: str) -> None:
    """The first start makes the administrator of the settings; a later one makes no other, and
    leaves a changed password alone."""
    env = {"MAIMCONFIG_ADMIN_EMAIL": EMAIL, "MAIMCONFIG_ADMIN_PASSWORD": PASSWORD}
    service = live_service(database_url, "--auto-migrate", env=env)
    tokens = log_in(service, PASSWORD, email=EMAIL).raise_for_status().json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (tokens["user"]["username"], tokens["user"]["role"]) == ("root", "admin")
    body = {"old_password": PASSWORD, "new_password": "another password"}
    url = f"{service.public}/api/v1/auth/change-password"
    assert httpx.post(url, json=body, headers=headers).status_code == 204
    service.restart()
    assert log_in(service, PASSWORD, email=EMAIL).status_code == 401
    assert log_in(service, "another password", email=EMAIL).status_code == 200
    listed = httpx.get(f"{service.public}/api/v1/admin/users", headers=headers)
    assert len(listed.raise_for_status().json()) == 1
    assert PASSWORD not in service.log


def test_no_default(live_service: Callable[..., LiveService]) -> None:
    """Without the settings there is no administrator, whatever is tried first elsewhere."""
    service = live_service()
    for name, password in (("admin", "admin"), ("admin", "password"), ("admin", "admin123")):
        assert log_in(service, password, username=name).status_code == 401
