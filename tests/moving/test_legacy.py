"""`maimconfig import-legacy`: callers of the older services go on working."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.users.models import User
from tests.api import Api
from tests.backup.stores import empty_store, is_consistent
from tests.cli.command import fails, succeeds
from tests.db.opening import opened
from tests.moving import older

VALIDATE = "/api/v2/auth/validate-api-key"
MOVED = """\
skipped users user_c: A user with this name or email exists already
skipped users user_d: its password's hash is none of bcrypt
moved tenants tenant_one: its quotas were left out: they aren't numbers
moved tenants tenant_two: is now named 一号 (nant_two)
moved agents agent_one: persona.state_probability of its configuration was left out
moved agents agent_one: config_overrides.model.api_providers.1.base_url of its configuration was left out
moved agents agent_one: its template tmpl_gone isn't here
moved agents agent_two: is now named 小麦 (gent_two)
skipped agents agent_lost: its tenant tenant_gone isn't here
skipped agents agent_bad: its configuration is no JSON object
moved api_keys key_one: permission Not One was left out
moved api_keys key_two: is now named web (key_two)
moved api_keys key_two: permission Not One was left out
skipped api_keys key_same: another key has the same secret
skipped api_keys key_odd: its key isn't of the form mmc_…, so no check would take it
users: 2 moved, 0 here already, 2 skipped
tenants: 2 moved, 0 here already, 0 skipped
personal tenants: 1 moved, 3 here already, 0 skipped
agents: 2 moved, 0 here already, 2 skipped
api_keys: 2 moved, 0 here already, 2 skipped
agent_active_states: 1 moved, 0 here already, 0 skipped
plugin_settings: 2 moved, 0 here already, 0 skipped
"""  # noqa: E501


@pytest.fixture
def legacy_url(database_url: str, tmp_path: Path, mysql_server_url: str) -> Iterator[str]:
    """The older services' database, of the same kind as ours."""
    folder = tmp_path / "older"
    folder.mkdir()
    with empty_store(
        database_url.partition(":")[0].partition("+")[0], folder, mysql_server_url
    ) as url:
        older.fill(url)
        yield url


def test_moving_in(legacy_url: str, database_url: str, tmp_path: Path) -> None:
    """Rows come with their ids, keys and passwords; what was changed or left out is told, a dry
    run tells the same, and a second run changes nothing."""
    of = {"instance": tmp_path / "instance", "DATABASE_URL": database_url}
    of["instance"].mkdir()
    succeeds("db", "upgrade", **of)
    assert succeeds("import-legacy", legacy_url, "--dry-run", **of) == MOVED
    assert succeeds("import-legacy", legacy_url, **of) == MOVED
    again = succeeds("import-legacy", legacy_url, **of)
    assert "agents: 0 moved, 2 here already, 2 skipped" in again
    assert not [line for line in again.splitlines() if line.startswith("moved")]
    assert again.count(" 0 moved") == 7
    is_consistent(database_url)
    with opened(database_url, of["instance"], auto_migrate=False) as runtime:
        key_is_good(runtime)
        configuration_reads(runtime)
        user_logs_in(runtime)


def key_is_good(runtime: Runtime) -> None:
    """A key validates as before, and one that was disabled doesn't."""
    api = Api(create_app("internal", runtime))
    verdict = api.data(api.post(VALIDATE, {"api_key": older.api_key("one", "one")}))
    assert (verdict["valid"], verdict["api_key_id"], verdict["agent_id"], verdict["permissions"]) == (
        True, "key_one", "agent_one", ["chat"],
    )  # fmt: skip
    api.error(api.post(VALIDATE, {"api_key": older.api_key("one", "one", "v2")}), 401, "AUTH_004")
    key = api.data(api.get("/api/v2/api-keys/key_one"))
    assert (key["created_at"], key["usage_count"]) == ("2024-05-06T07:08:09Z", 7)
    alive = api.data(api.get("/api/v2/agent-activity", query_string={"tenant_id": "tenant_one"}))
    assert [beat["agent_id"] for beat in alive["items"]] == ["agent_one"]


def configuration_reads(runtime: Runtime) -> None:
    """Configurations of one column and of a column a section read the same way; a secret is
    sealed."""
    api = Api(create_app("internal", runtime))
    one = api.data(api.get("/api/v2/agents/agent_one"))
    assert one["config"] == {
        "persona": {"personality": "耐心"},
        "config_overrides": {
            "model": {
                "api_providers": [
                    {"name": "own", "base_url": "https://own.example.com/v1", "api_key": "********"}
                ]
            }
        },
        "tags": ["售后"],
    }
    assert one["tags"] == ["售后"]
    two = api.data(api.get("/api/v2/agents/agent_two/config"))
    assert (two["persona"], two["bot_overrides"]) == ("一个温柔的人", {"nickname": "麦"})


def user_logs_in(runtime: Runtime) -> None:
    """A user logs in once with the bcrypt hash, and from then on with argon2id; a wrong password,
    one with a NUL behind it, and a suspended user are refused."""
    public = Api(create_app("public", runtime))

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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_other_databases(database_url: str, instance_folder: Path, tmp_path: Path) -> None:
    """What isn't a database of the older services is refused with one sentence, and not made."""
    of = {"instance": instance_folder, "DATABASE_URL": database_url}
    succeeds("db", "upgrade", **of)
    assert "backup" in fails("import-legacy", database_url, **of)
    assert "no file" in fails("import-legacy", f"sqlite:///{tmp_path / 'none.db'}", **of)
    assert not (tmp_path / "none.db").exists()
    engine = create_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")
    engine.dispose()
    assert "`tenants`" in fails("import-legacy", f"sqlite:///{tmp_path / 'empty.db'}", **of)
    assert "read" in fails("import-legacy", "mysql://u:a-password@127.0.0.1:1/x", **of)
    assert "a-password" not in fails("import-legacy", "postgresql://u:a-password@x/y", **of)
