"""No secret of a user is found where it doesn't belong: all are planted, then looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from tests.servers.service import LiveService
from tests.test_canaries import PROVIDER, Seen, all_rows, canary, found_in

MASTER = canary("master-secret-of-the-users-service")
ADMIN = canary("admins-password")
PASSWORDS = {name: canary(f"{name}-password") for name in ("first", "second", "third", "wrong")}
# What shows tokens, keys or a password that was made, because that is what it is for.
SHOWING = {"/auth/login", "/auth/refresh", "/api_keys", "/reset-password"}


class Visitor:
    """Calls the public plane and keeps what it shows.

    Attributes:
        seen: every answer; of those that show a secret as they should, without it.
        secrets: what was shown once.
    """

    def __init__(self, service: LiveService) -> None:
        self.client = httpx.Client(base_url=f"{service.public}/api/v1", timeout=30)
        self.seen: list[Seen] = []
        self.secrets: list[str] = []

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """What an answer shows."""
        options = options if body is None else {"json": body, **options}
        answer = self.client.request(method, path, **options)
        shown = answer.json() if answer.content else None
        told = f"{answer.headers}\n{answer.text}"
        own = shown if isinstance(shown, dict) else {}
        for name in ("access_token", "refresh_token", "api_key", "password"):
            secret = own.get(name)
            if secret and any(path.endswith(end) for end in SHOWING) and method == "POST":
                self.secrets.append(secret)
                told = told.replace(secret, "")
        self.seen.append(Seen(f"{method} {path}", answer.status_code, told))
        return shown

    def log_in(self, username: str, password: str) -> dict[str, Any]:
        """Log in, and go on as that user."""
        tokens = self("POST", "/auth/login", {"username": username, "password": password})
        self.client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return tokens


@pytest.fixture
def service(database_url: str, live_service: Callable[..., LiveService]) -> LiveService:
    """The real service, which tells as much as it can."""
    return live_service(
        database_url,
        "--auto-migrate",
        env={
            "MAIMCONFIG_SECRET_KEY": MASTER,
            "MAIMCONFIG_REVEAL_API_KEYS": "false",
            "MAIMCONFIG_LOG_LEVEL": "debug",
            "MAIMCONFIG_LOG_FORMAT": "json",
            "MAIMCONFIG_ADMIN_EMAIL": "admin@example.com",
            "MAIMCONFIG_ADMIN_PASSWORD": ADMIN,
        },
    )


def logins(call: Visitor) -> None:
    """Registrations and logins, right, wrong and malformed; tokens where they don't belong."""
    first, second, wrong = (PASSWORDS[name] for name in ("first", "second", "wrong"))
    newcomer = {"username": "alice", "password": first, "email": "alice@example.com"}
    for _ in range(2):
        call("POST", "/auth/register", newcomer, headers={"Idempotency-Key": canary("key")})
    call("POST", "/auth/register", {**newcomer, "password": [first], "unknown": first})
    call("POST", "/auth/register", {**newcomer, "username": "x" * 65, "password": first * 9})
    tokens = call.log_in("alice", first)
    for name in ("alice", "nobody", [first]):
        call("POST", "/auth/login", {"username": name, "password": wrong})
    call("POST", "/auth/login", {"password": {"a": first}})
    call("POST", "/auth/login", content=f'{{"password": "{first}", }}',
         headers={"Content-Type": "application/json"})  # fmt: skip
    call("POST", f"/auth/login?password={first}", data={"username": "alice", "password": first})
    used = tokens["refresh_token"]
    tokens = call("POST", "/auth/refresh", {"refresh_token": used})
    call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"] + "x"})
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    for secret in (access, refresh):
        call("GET", f"/agents/{secret}")
        call("GET", f"/auth/me?token={secret}")
        call("GET", "/auth/me", headers={"Authorization": secret, "Referer": f"http://x/{secret}"})
        call("GET", "/auth/me", headers={"Authorization": f"Bearer {secret}x", "Cookie": secret})
    change = {"old_password": wrong, "new_password": second}
    call("POST", "/auth/change-password", change)
    call("POST", "/auth/change-password", {**change, "old_password": first, "new_password": 1})
    call("POST", "/auth/change-password", {**change, "old_password": first})
    call("GET", "/auth/sessions")
    call("GET", "/auth/me")


def agents(call: Visitor) -> None:
    """An agent with a provider's key, and its API keys."""
    config = {"config_overrides": {"model": {"api_providers": [PROVIDER]}}}
    once = {"Idempotency-Key": canary("key")}
    for _ in range(2):
        agent = call("POST", "/agents/", {"name": "a", "config": config}, headers=once)
    path = f"/agents/{agent['id']}"
    call("PUT", path, {"config": {"persona": "x"}})
    call("PUT", path, {"config": {"config_overrides": {"model": {"api_providers": PROVIDER}}}})
    call("GET", path)
    call("GET", "/agents/")
    key = call("POST", f"{path}/api_keys", {"name": "k"}, headers={"Idempotency-Key": canary("k")})
    call("GET", f"{path}/api_keys")
    call("GET", f"{path}/{key['api_key'].replace('/', '')}")
    call("POST", f"{path}/api_keys", {"name": [key["api_key"]]})


def administration(call: Visitor, user_id: str) -> None:
    """What administrators do to users."""
    call.log_in("admin", ADMIN)
    body = {"username": "bob", "password": PASSWORDS["third"], "role": "agent"}
    call("POST", "/admin/users", body, headers={"Idempotency-Key": canary("key")})
    call("POST", "/admin/users", {**body, "role": PASSWORDS["third"]})
    path = f"/admin/users/{user_id}"
    call("PUT", path, {"full_name": "Alice"})
    call("POST", f"{path}/reset-password", {})
    call("POST", f"{path}/reset-password", {"new_password": "short"})
    call("POST", f"{path}/status", {"status": "suspended"})
    for read in (path, "/admin/users", "/admin/users?q=a", "/admin/permissions",
                 "/admin/analytics/users", "/admin/analytics/dashboard"):  # fmt: skip
        call("GET", read)


def unexpected(call: Visitor, url: str) -> None:
    """Logins and registrations that fail with 500, since a table is gone."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE login_sessions RENAME TO gone"))
    user = {"username": "bob", "password": PASSWORDS["third"]}
    call("POST", "/auth/login", user)
    assert call.seen[-1].status == 500
    call("GET", "/auth/me")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO login_sessions"))
    engine.dispose()


def test_nowhere(service: LiveService, database_url: str, tmp_path: Path) -> None:
    """Neither an answer, nor a log line, nor a row or a byte of the database holds a password, a
    token or a key; a password's hash is in the users' table alone."""
    call = Visitor(service)
    with call.client:
        logins(call)
        user_id = call("GET", "/auth/me")["id"]
        agents(call)
        administration(call, user_id)
        unexpected(call, database_url)
    with httpx.Client(base_url=service.internal) as internal:
        entries = internal.get("/api/v2/audit-logs?page_size=100").text
    call.seen.append(Seen("audit", 0, entries))
    assert "user.password" in entries
    assert {seen.status for seen in call.seen} >= {200, 204, 400, 401, 404, 409, 422, 500}
    assert len(call.secrets) >= 8
    assert service.stop() == 0

    provider = [PROVIDER["api_key"], PROVIDER["base_url"]]
    planted = [MASTER, ADMIN, *PASSWORDS.values(), *provider, *call.secrets]
    told = [*planted, "$argon2", "enc:"]
    assert {seen.what: found for seen in call.seen if (found := found_in(seen.text, told))} == {}
    assert '"unexpected"' in service.log
    logged = [*planted, "$argon2", *(secret.rpartition(".")[2] for secret in call.secrets)]
    assert [line for line in service.log.splitlines() if found_in(line, logged)] == []

    rows = all_rows(database_url)
    assert "$argon2id$" in rows.pop("users")
    assert {
        table: found
        for table, content in rows.items()
        if (found := found_in(content, [*planted, "$argon2"]))
    } == {}
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert (file.name, found_in(file.read_bytes().decode("latin-1"), planted)) == (
                file.name,
                [],
            )
