"""`maimconfig export`, `import` and `apply`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from maimconfig.app import create_app
from maimconfig.db.all_models import metadata
from tests import factories
from tests.api import Api
from tests.backup.stores import empty_store, is_consistent
from tests.cli.command import fails, succeeds
from tests.db.opening import opened

VALIDATE = "/api/v2/auth/validate-api-key"
SECRET = "sk-own-secret"

APPLIED = """
maimconfig: 1
templates:
- name: 售后
  config: {persona: 耐心}
tenants:
- tenant_name: 麦麦客服
  tenant_type: enterprise
  tenant_config: {quotas: {max_agents: 5}}
  permission_groups: {support: [chat, config_read]}
  plugins:
  - {plugin_name: order_query, enabled: true, config: {city: no where}}
  agents:
  - name: 小麦
    template: 售后
    tags: [a, b]
    config:
      config_overrides:
        model:
          api_providers:
          - {name: own, base_url: "https://own.example.com/v1", api_key: sk-own-secret}
    plugins:
    - {plugin_name: order_query, enabled: false}
    api_keys:
    - {name: web, permissions: [support], expires_at: 2036-01-01T00:00:00Z}
"""


class Store:
    """A database with its instance folder, on which commands are run.

    Attributes:
        of: what a command is told of it.
    """

    def __init__(self, url: str, instance: Path) -> None:
        self.of: dict[str, Any] = {"instance": instance, "DATABASE_URL": url}
        instance.mkdir(exist_ok=True)
        succeeds("db", "upgrade", **self.of)

    def run(self, *arguments: str) -> str:
        """What a command says that succeeds."""
        return succeeds(*arguments, **self.of)

    def refuses(self, *arguments: str) -> str:
        """The sentence of one that fails."""
        return fails(*arguments, **self.of)

    def exported(self, folder: Path, *options: str) -> Any:
        """What there is, as a document."""
        file = folder / "exported.yaml"
        self.run("export", str(file), *options)
        return yaml.safe_load(file.read_text("utf-8"))

    def ask(self) -> Any:
        """A service on it."""
        return opened(self.of["DATABASE_URL"], self.of["instance"], auto_migrate=False)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Store:
    """A database with all tables and no tenants."""
    return Store(database_url, tmp_path / "instance")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to apply."""
    path = tmp_path / "wanted.yaml"
    path.write_text(APPLIED, "utf-8")
    return path


def test_apply(store: Store, file: Path, tmp_path: Path) -> None:
    """What a file says is shown, made, and then as it says: there is nothing to change; a changed
    value is one change, shown without secrets."""
    foreseen = store.run("apply", "-f", str(file), "--dry-run")
    assert "+ agent 麦麦客服 / 小麦" in foreseen
    assert store.exported(tmp_path)["tenants"] == []
    applied = store.run("apply", "-f", str(file))
    assert applied.startswith(foreseen)
    api_key = applied.splitlines()[-1].rpartition(": ")[2]
    assert store.run("apply", "-f", str(file)) == "0 created, 0 changed, 6 unchanged, 0 skipped\n"
    with store.ask() as runtime:
        api = Api(create_app("internal", runtime))
        body = {"api_key": api_key, "required_permission": "config_read"}
        assert api.data(api.post(VALIDATE, body))["has_permission"] is True
    file.write_text(APPLIED.replace(SECRET, "sk-another").replace("[a, b]", "[b]"), "utf-8")
    changed = store.run("apply", "-f", str(file), "--yes")
    assert '    tags: ["a", "b"] -> ["b"]\n' in changed
    assert "api_providers" in changed
    assert "sk-" not in changed
    assert "1 changed, 5 unchanged" in changed.replace("0 created, ", "")
    [tenant] = store.exported(tmp_path, "--with-secrets")["tenants"]
    provider = tenant["agents"][0]["config"]["config_overrides"]["model"]["api_providers"][0]
    assert provider["api_key"] == "sk-another"
    assert tenant["agents"][0]["template"] == "售后"


def test_across(store: Store, tmp_path: Path, mysql_server_url: str) -> None:
    """With its secrets, what is exported goes into the other kind of database with the same ids,
    counts and keys, and exports to the very same file."""
    with store.ask() as runtime:
        key = _filled(Api(create_app("internal", runtime)))
    kind = "mysql" if store.of["DATABASE_URL"].startswith("sqlite") else "sqlite"
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    store.run("export", str(first), "--with-secrets")
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    with empty_store(kind, tmp_path, mysql_server_url) as url:
        other = Store(url, tmp_path / "other")
        foreseen = other.run("import", str(first), "--dry-run")
        assert other.run("import", str(first)) == foreseen
        assert "0 created" in other.run("import", str(first), "--on-conflict", "overwrite")
        other.run("export", str(second), "--with-secrets")
        assert second.read_text("utf-8") == first.read_text("utf-8")
        is_consistent(url)
        assert _counts(store) == _counts(other)
        with other.ask() as runtime:
            api = Api(create_app("internal", runtime))
            verdict = api.data(api.post(VALIDATE, {"api_key": key["api_key"]}))
        assert (verdict["valid"], verdict["api_key_id"]) == (True, key["id"])


def test_conflicts(store: Store, file: Path, tmp_path: Path) -> None:
    """Of what is there already, nothing, what the file names, or what it holds within is changed;
    a masked secret is kept where it is known, and said to be missing where it isn't."""
    store.run("apply", "-f", str(file))
    masked = tmp_path / "masked.json"
    store.run("export", str(masked))
    given = json.loads(masked.read_text("utf-8"))
    assert SECRET not in masked.read_text("utf-8")
    tenant = given["tenants"][0]
    assert "api_keys" not in tenant["agents"][0]
    tenant["tenant_config"] = {"note": "new"}
    tenant["agents"].append({**tenant["agents"][0], "name": "新的", "id": "agent_new"})
    masked.write_text(json.dumps(given), "utf-8")

    said = store.run("import", str(masked))
    assert "1 created, 0 changed, 0 unchanged, 6 skipped" in said.replace("2 created", "1 created")
    assert (
        "! agent 麦麦客服 / 新的: the secret config_overrides.model.api_providers.0.api_key" in said
    )
    store.run("import", str(masked), "--on-conflict", "merge")
    quotas = {"quotas": {"max_agents": 5}}
    [merged] = store.exported(tmp_path, "--with-secrets")["tenants"]
    assert merged["tenant_config"] == {**quotas, "note": "new"}
    store.run("import", str(masked), "--on-conflict", "overwrite")
    [replaced] = store.exported(tmp_path, "--with-secrets")["tenants"]
    assert replaced["tenant_config"] == {"note": "new"}
    provider = replaced["agents"][0]["config"]["config_overrides"]["model"]["api_providers"][0]
    assert provider["api_key"] == SECRET


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("maimconfig: 1\ntenant: []\n", "tenant: Unknown field, did you mean tenants?"),
        ("maimconfig: 2\n", "between 1 and 1"),
        ("maimconfig: 1\nmaimconfig: 1\n", "stands twice"),
        ("- [", "can't be read"),
        ("x: &a [*a]\n", "can't be read"),
        ("a: 2026-01-01\nmaimconfig: 1\n", "Unknown field"),
        ("maimconfig: 1\ntenants: [{tenant_name: x, tenant_type: big}]\n", "tenant_type"),
        (APPLIED.replace("template: 售后", "template: none"), "there is no template none"),
        (APPLIED.replace("persona: 耐心", "persona: 1"), "config.persona"),
        (APPLIED.replace("[support]", "[Support]"), "permissions.0"),
        (APPLIED.replace("max_agents: 5", "max_agents: 0"), "max_agents"),
        (APPLIED.replace("{name: web,", "{name: web, api_key: mmc_x,"), "mmc_"),
    ],
)
def test_wrong_files(store: Store, file: Path, text: str, sentence: str) -> None:
    """A file that isn't right is refused with one sentence that names the place, and changes
    nothing."""
    file.write_text(text, "utf-8")
    assert sentence in store.refuses("apply", "-f", str(file))


def _filled(api: Api) -> dict[str, Any]:
    """Fill a database with one of each thing; a key of it."""
    tenant = factories.tenant(api, tenant_name="😀 é", description="no")
    own = factories.template(api, tenant_id=tenant["id"])
    sample = factories.sample_agent()
    agent = factories.agent(api, tenant["id"], **{**sample, "template_id": own["id"]})
    factories.agent(api, tenant["id"], template_id=factories.template(api)["id"])
    factories.plugin_setting(api, tenant["id"], config={"on": "yes", "1": 1.0})
    factories.plugin_setting(api, tenant["id"], agent["id"])
    expiring = factories.api_key(api, agent, expires_at="2036-01-01T00:00:00Z")
    api.put(f"/api/v2/api-keys/{expiring['id']}", {"status": "expired"})
    return factories.api_key(api, agent, rate_limit={"limit": 9, "window_seconds": 60})


def _counts(store: Store) -> dict[str, int]:
    """Rows by table, of the tables that are exported."""
    with store.ask() as runtime, runtime.database.reader.connect() as connection:
        return {
            name: len(connection.execute(metadata.tables[name].select()).all())
            for name in ("tenants", "agents", "agent_tags", "api_keys", "api_key_secrets",
                         "agent_templates", "plugin_settings")
        }  # fmt: skip
