"""`maimconfig export`, `import` and `apply`."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from maimconfig.app import create_app
from maimconfig.db.all_models import metadata
from maimconfig.http.json import MAX_DEPTH
from maimconfig.moving import document, exporting, service, shown
from maimconfig.moving.carrier import Mode
from maimconfig.moving.changes import Change
from maimconfig.moving.errors import MovingError
from maimconfig.runtime import Runtime
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
    """A service, into which files are brought.

    Attributes:
        api: a caller of it.
    """

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.api = Api(create_app("internal", runtime))
        self._file = folder / "file.yaml"

    def foresee(self, given: Any, mode: Mode) -> str:
        """What would change, as it is shown."""
        return self._said(service.foresee(self.runtime, self._read(given), mode))

    def bring(self, given: Any, mode: Mode) -> str:
        """Bring a text or a document in; what changed, as it is shown."""
        return self._said(service.carry(self.runtime, self._read(given), mode, lambda *_: None))

    def export(self, *, with_secrets: bool = True) -> Any:
        """What there is, as it comes out of a file."""
        found = self.runtime.read(
            lambda session: exporting.document_of(session, with_secrets=with_secrets)
        )
        document.write(self._file, found)
        return yaml.safe_load(self._file.read_text("utf-8"))

    def _read(self, given: Any) -> Any:
        if isinstance(given, str):
            self._file.write_text(given, "utf-8")
        else:
            document.write(self._file, given)
        return document.read(self._file)

    def _said(self, changes: list[Change]) -> str:
        return "".join(f"{line}\n" for line in shown.lines(changes))


@pytest.fixture
def store(runtime: Runtime, tmp_path: Path) -> Store:
    """A service without tenants."""
    return Store(runtime, tmp_path)


def test_as_deep_as_the_api_takes(store: Store) -> None:
    """What the API takes, however deep, comes back in from a file."""
    agent = factories.agent(store.api)
    deep: Any = {}
    for _ in range(MAX_DEPTH - 3):  # the answer, which the test reads, is one deeper
        deep = {"x": deep}
    where = f"/api/v2/agents/{agent['id']}"
    store.api.data(store.api.put(f"{where}/config", {"deep": deep}))
    plugins = f"/api/v1/plugins/settings?tenant_id={agent['tenant_id']}&agent_id={agent['id']}"
    setting = {"plugin_name": "p", "enabled": True, "config": deep}
    assert store.api.post(plugins, setting).status_code == 200
    exported = store.export()
    assert exported["tenants"][0]["agents"][0]["config"] == {"deep": deep}
    assert store.bring(exported, "overwrite").startswith("0 created, 0 changed")


def test_apply(store: Store) -> None:
    """What a file says is foreseen, made, and then as it says: there is nothing to change; a
    changed value is one change, shown without secrets."""
    foreseen = store.foresee(APPLIED, "overwrite")
    assert "+ agent 麦麦客服 / 小麦" in foreseen
    assert store.export()["tenants"] == []
    assert store.bring(APPLIED, "overwrite") == foreseen
    same = "0 created, 0 changed, 6 unchanged, 0 skipped\n"
    assert store.bring(APPLIED, "overwrite") == same
    text = APPLIED.replace(SECRET, "sk-another").replace("[a, b]", "[b]")
    changed = store.bring(text, "overwrite")
    assert '    tags: ["a", "b"] -> ["b"]\n' in changed
    assert "api_providers" in changed
    assert "sk-" not in changed
    assert changed.endswith("0 created, 1 changed, 5 unchanged, 0 skipped\n")
    agent = store.export()["tenants"][0]["agents"][0]
    assert provider_of(agent)["api_key"] == "sk-another"
    assert (agent["template"], agent["tags"]) == ("售后", ["b"])


def test_across(store: Store, tmp_path: Path, mysql_server_url: str) -> None:
    """With its secrets, what is exported goes into the other kind of database with the same ids,
    counts and keys, and exports to the very same document."""
    key = _filled(store.api)
    first = store.export()
    kind = "mysql" if store.runtime.database.is_sqlite else "sqlite"
    with empty_store(kind, tmp_path, mysql_server_url) as url, opened(url, tmp_path) as runtime:
        other = Store(runtime, tmp_path)
        foreseen = other.foresee(first, "skip")
        assert other.bring(first, "skip") == foreseen
        assert " 0 changed, " in other.bring(first, "overwrite")
        assert other.export() == first
        is_consistent(url)
        assert _counts(store) == _counts(other)
        verdict = other.api.data(other.api.post(VALIDATE, {"api_key": key["api_key"]}))
    assert (verdict["valid"], verdict["api_key_id"]) == (True, key["id"])


def test_conflicts(store: Store) -> None:
    """Of what is there already, nothing, what the file names, or what it holds within is changed;
    a masked secret is kept where it is known, and said to be missing where it isn't."""
    store.bring(APPLIED, "skip")
    given = store.export(with_secrets=False)
    tenant = given["tenants"][0]
    assert provider_of(tenant["agents"][0])["api_key"] == "********"
    assert "api_keys" not in tenant["agents"][0]
    tenant["tenant_config"] = {"note": "new"}
    tenant["agents"].append({**tenant["agents"][0], "name": "新的", "id": "agent_new"})

    said = store.bring(given, "skip")
    lost = "config_overrides.model.api_providers.0.api_key isn't in the file"
    assert f"! agent 麦麦客服 / 新的: the secret {lost}" in said
    assert said.endswith("2 created, 0 changed, 0 unchanged, 5 skipped\n")
    store.bring(given, "merge")
    [merged] = store.export()["tenants"]
    assert merged["tenant_config"] == {"quotas": {"max_agents": 5}, "note": "new"}
    store.bring(given, "overwrite")
    [replaced] = store.export()["tenants"]
    assert replaced["tenant_config"] == {"note": "new"}
    assert provider_of(replaced["agents"][0])["api_key"] == SECRET
    assert [agent["id"] for agent in replaced["agents"]][1] == "agent_new"


def test_commands(instance_folder: Path, tmp_path: Path) -> None:
    """`apply` shows what it changes, makes it and tells a new key's secret; `export` and `import`
    carry it elsewhere, in a file for its owner's eyes."""
    file = tmp_path / "wanted.yaml"
    file.write_text(APPLIED, "utf-8")
    foreseen = succeeds("apply", "-f", str(file), "--dry-run", instance=instance_folder)
    applied = succeeds("apply", "-f", str(file), instance=instance_folder)
    assert applied.startswith(foreseen)
    api_key = applied.splitlines()[-1].rpartition(": ")[2]
    moved = tmp_path / "moved.json"
    succeeds("export", str(moved), "--with-secrets", instance=instance_folder)
    assert stat.S_IMODE(moved.stat().st_mode) == 0o600
    assert json.loads(moved.read_text("utf-8"))["maimconfig"] == 1
    other = tmp_path / "other"
    other.mkdir()
    assert "6 created" in succeeds("import", str(moved), "--dry-run", instance=other)
    assert "6 created" in succeeds("import", str(moved), instance=other)
    with opened(f"sqlite:///{other / 'maimconfig.db'}", other) as runtime:
        api = Api(create_app("internal", runtime))
        body = {"api_key": api_key, "required_permission": "config_read"}
        assert api.data(api.post(VALIDATE, body))["has_permission"] is True
    assert "no tenant x" in fails("export", str(moved), "--tenant", "x", instance=other)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("maimconfig: 1\ntenant: []\n", "tenant: Unknown field, did you mean tenants?"),
        ("maimconfig: 2\n", "maimconfig: Must be 1; a newer version of MaimConfig reads others"),
        ("- maimconfig: 1\n", "it must be an object with maimconfig, templates and tenants"),
        ("", "it must be an object with maimconfig, templates and tenants"),
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
def test_wrong_files(store: Store, text: str, sentence: str) -> None:
    """A file that isn't right is refused with one sentence that names the place, and nothing of
    its tenant is stored."""
    with pytest.raises(MovingError, match=re.escape(sentence)) as refused:
        store.bring(text, "overwrite")
    assert "\n" not in str(refused.value)
    assert store.export()["tenants"] == []


def provider_of(agent: Any) -> Any:
    """The AI provider of an exported agent."""
    return agent["config"]["config_overrides"]["model"]["api_providers"][0]


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
    with store.runtime.database.reader.connect() as connection:
        return {
            name: len(connection.execute(metadata.tables[name].select()).all())
            for name in ("tenants", "agents", "agent_tags", "api_keys", "api_key_secrets",
                         "agent_templates", "plugin_settings")
        }  # fmt: skip
