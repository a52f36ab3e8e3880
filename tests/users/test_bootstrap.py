"""The first administrator from the settings, through the service as it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.harness import MASTER_SECRET
from tests.servers.service import LiveService

PASSWORD = "the first password"
EMAIL = "xiaoming@example.com"
SECRET = {"MAIMCONFIG_SECRET_KEY": MASTER_SECRET}
SETTINGS = {
    **SECRET,
    "MAIMCONFIG_ADMIN_EMAIL": EMAIL,
    "MAIMCONFIG_ADMIN_PASSWORD": PASSWORD,
}


def call(service: LiveService, path: str, body: Any) -> httpx.Response:
    """A POST to the public plane."""
    return httpx.post(f"{service.public}/api/v1/auth/{path}", json=body, timeout=30)


def logged_in(service: LiveService, **name: str) -> dict[str, Any]:
    """The user who logs in with the password of the settings."""
    answer = call(service, "login", {**name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json()["user"]


def test_two_starts(live_service: Callable[..., LiveService], database_url: str) -> None:
    """The first start makes the administrator; later ones make no other and change nothing."""
    service = live_service(database_url, "--auto-migrate", env=SETTINGS)
    made = logged_in(service, email=EMAIL)
    assert (made["username"], made["email"], made["role"]) == ("xiaoming", EMAIL, "admin")
    service.restart()
    assert logged_in(service, username="xiaoming") == made
    assert service.log.count("first_admin.made") == 1
    assert PASSWORD not in service.log


def test_a_taken_name(live_service: Callable[..., LiveService], database_url: str) -> None:
    """Where a user has the email's local part as username, the administrator gets another one."""
    first = live_service(database_url, "--auto-migrate", env=SECRET)
    body = {"username": "Xiaoming", "password": "somebody else's"}
    assert call(first, "register", body).status_code == 200
    assert first.stop() == 0
    service = live_service(database_url, env=SETTINGS)
    made = logged_in(service, email=EMAIL)
    assert (made["username"], made["role"]) == ("xiaoming-2", "admin")
    assert call(service, "login", body).json()["user"]["role"] == "user"


@pytest.mark.parametrize("known_as", ["username", "email"])
def test_a_taken_email(
    known_as: str, live_service: Callable[..., LiveService], database_url: str
) -> None:
    """Whoever registered with the administrator's email first gets no role by that; it's logged."""
    first = live_service(database_url, "--auto-migrate", env=SECRET)
    body = {"username": "somebody", "password": "somebody else's", known_as: EMAIL}
    assert call(first, "register", body).status_code == 200
    assert first.stop() == 0
    service = live_service(database_url, env=SETTINGS)
    assert call(service, "login", {"email": EMAIL, "password": PASSWORD}).status_code == 401
    assert (
        call(service, "login", {"email": EMAIL, "password": body["password"]}).json()["user"][
            "role"
        ]
        == "user"
    )
    assert "first_admin.not_made" in service.log
