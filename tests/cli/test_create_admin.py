"""`maimconfig create-admin`"""

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

from tests.cli.command import LIMIT_SECONDS, environment, fails, succeeds
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


@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
def test_no_name(name: str, instance_folder: Path) -> None:
    """What is no username is refused with one sentence."""
    sentence = fails("create-admin", name, instance=instance_folder)
    assert sentence.startswith("username: ")
    assert sentence.isascii()


def test_on_a_terminal(live_service: Callable[..., LiveService], tmp_path: Path) -> None:
    """On a terminal the password is asked for twice, isn't shown, and is good."""
    url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(url)
    code, shown = on_a_terminal(service.instance, url, ["a good password", "a good password"])
    assert code == 0, shown
    assert "Administrator root (user_" in shown
    assert "a good password" not in shown
    answer = log_in(service, "a good password", username="root")
    assert (answer.status_code, answer.json()["user"]["role"]) == (200, "admin")


def test_a_mismatch(live_service: Callable[..., LiveService], tmp_path: Path) -> None:
    """Two that differ are asked for again; the last two count."""
    url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(url)
    answers = ["a good password", "another password", "the third one", "the third one"]
    code, shown = on_a_terminal(service.instance, url, answers)
    assert code == 0, shown
    assert "do not match" in shown
    assert not any(answer in shown for answer in answers)
    assert log_in(service, "a good password", username="root").status_code == 401
    assert log_in(service, "the third one", username="root").status_code == 200


def test_made_one_is_shown_once(instance_folder: Path) -> None:
    """Without a terminal a password is made, long, and shown in one line; another run makes
    another one."""
    said = [succeeds("create-admin", name, instance=instance_folder) for name in ("root", "boss")]
    made = [text.splitlines()[-1].rpartition(": ")[2] for text in said]
    assert all(len(password) >= 20 for password in made)
    assert made[0] != made[1]
    assert said[0].count(made[0]) == 1


def test_a_short_one(live_service: Callable[..., LiveService], tmp_path: Path) -> None:
    """What is no password makes no administrator."""
    url = f"sqlite:///{tmp_path / 'maimconfig.db'}"
    service = live_service(url)
    code, shown = on_a_terminal(service.instance, url, ["short", "short"])
    assert code != 0
    assert "8 to 128" in shown
    assert log_in(service, "short", username="root").status_code == 401


def test_no_default(live_service: Callable[..., LiveService]) -> None:
    """Without the settings there is no administrator, whatever is tried first elsewhere."""
    service = live_service()
    for name, password in (("admin", "admin"), ("admin", "password"), ("admin", "admin123")):
        assert log_in(service, password, username=name).status_code == 401


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
