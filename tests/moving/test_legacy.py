"""`maimconfig import-legacy`: callers of the older services go on working."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from maimconfig.moving import legacy, legacy_columns, legacy_source
from maimconfig.moving.legacy_source import Row, Source
from maimconfig.runtime import Runtime
from maimconfig.setting_types import database_url
from maimconfig.tenants.models import TENANT_STATUSES
from maimconfig.users.models import User
from tests.api import Api
from tests.backup.stores import empty_store, is_consistent
from tests.cli.command import fails, succeeds
from tests.moving import older

VALIDATE = "/api/v2/auth/validate-api-key"
MOVED = """\
skipped users user_c: Username or email taken
skipped users user_d: its password's hash is none of bcrypt
moved tenants tenant_one: its quotas were left out: they aren't numbers
moved tenants tenant_two: is now named 一号 (nant_two)
skipped agents agent_bad: its configuration is no JSON object
skipped agents agent_lost: its tenant tenant_gone isn't here
moved agents agent_one: persona.state_probability of its configuration was left out
moved agents agent_one: config_overrides.model.api_providers.1.base_url of its configuration was left out
moved agents agent_one: its template tmpl_gone isn't here
moved agents agent_two: is now named 小麦 (gent_two)
skipped api_keys key_odd: its key isn't of the form mmc_…, so no check would take it
moved api_keys key_one: permission Not One was left out
skipped api_keys key_same: another key has the same secret
moved api_keys key_two: is now named web (key_two)
moved api_keys key_two: permission Not One was left out
users: 2 moved, 0 here already, 2 skipped
tenants: 2 moved, 0 here already, 0 skipped
personal tenants: 1 moved, 3 here already, 0 skipped
agents: 2 moved, 0 here already, 2 skipped
api_keys: 2 moved, 0 here already, 2 skipped
agent_active_states: 1 moved, 0 here already, 0 skipped
plugin_settings: 2 moved, 0 here already, 0 skipped
"""  # noqa: E501


@pytest.fixture
def source(runtime: Runtime, tmp_path: Path, mysql_server_url: str) -> Iterator[Source]:
    """The older services' database, of the same kind as ours."""
    kind = "sqlite" if runtime.database.is_sqlite else "mysql"
    with empty_store(kind, tmp_path, mysql_server_url) as url:
        older.fill(url)
        with legacy_source.opened(database_url(url)) as found:
            yield found


def test_moving_in(
    runtime: Runtime, source: Source, api: Api, public: Api, migrated_database_url: str
) -> None:
    """Rows come with their ids, keys and passwords; what was changed or left out is told, a dry
    run tells the same, and a second run changes nothing."""
    assert said(legacy.foresee(runtime, source)) == MOVED
    assert said(legacy.bring(runtime, source, lambda *_: None)) == MOVED
    again = said(legacy.bring(runtime, source, lambda *_: None))
    assert "agents: 0 moved, 2 here already, 2 skipped" in again
    assert not [line for line in again.splitlines() if line.startswith("moved")]
    assert again.count(" 0 moved") == 7
    is_consistent(migrated_database_url)
    key_is_good(api)
    configuration_reads(api)
    user_logs_in(public, runtime)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({}, "active"),
        ({"status": "TenantStatus.ACTIVE", "is_active": 1}, "active"),
        ({"status": "active", "is_active": 0}, "inactive"),
        ({"status": "suspended", "is_active": True}, "suspended"),
        ({"status": "deleted"}, "inactive"),
    ],
)
def test_status(columns: dict[str, object], found: str) -> None:
    """What was switched off in any way doesn't come to life by moving."""
    assert legacy_columns.status(Row(columns), TENANT_STATUSES)[0] == found


def said(outcomes: list[legacy.Outcome]) -> str:
    """What the command tells."""
    return "".join(f"{line}\n" for line in legacy.lines(outcomes))


def key_is_good(api: Api) -> None:
    """A key validates as before, and one that was disabled doesn't."""
    key = api.data(api.get("/api/v2/api-keys/key_one"))
    assert (key["created_at"], key["usage_count"]) == ("2024-05-06T07:08:09Z", 7)
    verdict = api.data(api.post(VALIDATE, {"api_key": older.api_key("one", "one")}))
    assert verdict["valid"] is True
    assert (verdict["api_key_id"], verdict["permissions"]) == ("key_one", ["chat"])
    api.error(api.post(VALIDATE, {"api_key": older.api_key("one", "one", "v2")}), 401, "AUTH_004")
    alive = api.data(api.get("/api/v2/agent-activity", query_string={"tenant_id": "tenant_one"}))
    assert [beat["agent_id"] for beat in alive["items"]] == ["agent_one"]


def configuration_reads(api: Api) -> None:
    """Configurations of one column and of a column a section read the same way; a secret is
    sealed."""
    one = api.data(api.get("/api/v2/agents/agent_one"))
    assert one["config"] == {
        "persona": {"personality": "耐心"},
        "config_overrides": {
            "model": {
                "api_providers": [{"name": "own", "base_url": "********", "api_key": "********"}]
            }
        },
        "tags": ["售后"],
    }
    assert one["tags"] == ["售后"]
    two = api.data(api.get("/api/v2/agents/agent_two/config"))
    assert (two["persona"], two["bot_overrides"]) == ("一个温柔的人", {"nickname": "麦"})


def user_logs_in(public: Api, runtime: Runtime) -> None:
    """A user logs in once with the bcrypt hash, and from then on with argon2id; a wrong password,
    one with a NUL behind it, and a suspended user are refused."""

    def log_in(username: str, password: str) -> int:
        body = {"username": username, "password": password}
        return public.post("/api/v1/auth/login", body).status_code

    def stored() -> str:
        return runtime.read(
            lambda session: session.scalar(select(User.password_hash).where(User.id == "user_a"))
        )

    assert stored().startswith("$2b$")
    assert log_in("anna", "wrong password") == 401
    assert log_in("bert", older.PASSWORD) == 401
    assert stored().startswith("$2b$")
    assert log_in("anna@example.com", older.PASSWORD) == 200
    assert stored().startswith("$argon2id$")
    assert log_in("anna", older.PASSWORD) == 200


def test_command(instance_folder: Path, tmp_path: Path) -> None:
    """The command tells what it did; what isn't a database of the older services is refused with
    one sentence, and not made."""
    older.fill(f"sqlite:///{tmp_path / 'older.db'}")
    url = f"sqlite:///{tmp_path / 'older.db'}"
    assert succeeds("import-legacy", url, instance=instance_folder) == MOVED

    def refusal(url: str) -> str:
        return fails("import-legacy", url, instance=instance_folder)

    assert "backup" in refusal(f"sqlite:///{instance_folder / 'maimconfig.db'}")
    assert "no file" in refusal(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    sqlite3.connect(tmp_path / "empty.db").close()
    assert "`tenants`" in refusal(f"sqlite:///{tmp_path / 'empty.db'}")
    assert "a-password" not in refusal("postgresql://u:a-password@x/y")
