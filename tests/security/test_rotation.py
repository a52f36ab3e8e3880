"""Rotation of the master secret."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from maimconfig.agents import config_secrets
from maimconfig.agents.models import Agent, AgentConfigVersion
from maimconfig.api_keys.models import ApiKeySecret
from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.security import rotation
from maimconfig.security.secret_file import SecretFile
from maimconfig.setting_types import database_url as as_url
from maimconfig.settings import load_settings
from tests import factories
from tests.api import Api

PROVIDER = {
    "name": "own",
    "base_url": "https://llm.example.com/v1",
    "api_key": "sk-canary-provider",
}
CONFIG = {"config_overrides": {"model": {"api_providers": [PROVIDER]}}}
VALIDATE = "/api/v2/auth/validate-api-key"


@pytest.fixture
def fresh(database_url: str, instance_folder: Path) -> Iterator[Runtime]:
    """A service on a database and an instance of its own."""
    settings = load_settings({"MAIMCONFIG_INSTANCE": str(instance_folder)})
    runtime = Runtime.open(replace(settings, database_url=as_url(database_url)), auto_migrate=True)
    yield runtime
    runtime.close()


@pytest.fixture
def caller(fresh: Runtime) -> Api:
    """A caller of its internal plane."""
    return Api(create_app("internal", fresh))


def _rotate(runtime: Runtime) -> int:
    SecretFile(runtime.settings.instance / "secret.key").rotate()
    assert runtime.vault.reload()
    return rotation.move_all(runtime)


def test_moves_everything(fresh: Runtime, caller: Api) -> None:
    """After a rotation keys still validate, secrets still open, and all is under the new one."""
    agent = factories.agent(caller, config=CONFIG)
    key = factories.api_key(caller, agent)
    caller.post(f"/api/v2/api-keys/{key['id']}/rotate", {"grace_seconds": 3600})
    assert _rotate(fresh) > 0
    SecretFile(fresh.settings.instance / "secret.key").forget_previous()
    fresh.vault.reload()
    assert len(fresh.vault.key_ids) == 1
    assert caller.data(caller.post(VALIDATE, {"api_key": key["api_key"]}))["valid"]
    shown = caller.data(caller.get(f"/api/v2/api-keys/{key['id']}"))["api_key"]
    assert caller.data(caller.post(VALIDATE, {"api_key": shown}))["valid"]
    assert fresh.read(_provider_key) == "sk-canary-provider"


def _provider_key(session: Any) -> str:
    configs = [
        *session.scalars(select(Agent.config)),
        *session.scalars(select(AgentConfigVersion.config)),
    ]
    opened = [config_secrets.unseal(config, session.runtime.vault) for config in configs]
    (found,) = {
        config["config_overrides"]["model"]["api_providers"][0]["api_key"] for config in opened
    }
    return found


def test_repeatable(fresh: Runtime, caller: Api) -> None:
    """A second run finds nothing left to move."""
    factories.api_key(caller, factories.agent(caller, config=CONFIG))
    assert _rotate(fresh) > 0
    assert rotation.move_all(fresh) == 0


def test_keeps_revisions(fresh: Runtime, caller: Api) -> None:
    """A rotation is no change that people make: neither ETag nor updated_at move."""
    agent = factories.agent(caller, config=CONFIG)
    before = caller.get(f"/api/v2/agents/{agent['id']}")
    _rotate(fresh)
    after = caller.get(f"/api/v2/agents/{agent['id']}")
    assert after.headers["ETag"] == before.headers["ETag"]
    assert after.get_json()["data"] == before.get_json()["data"]


def test_hashes_are_new(fresh: Runtime, caller: Api) -> None:
    """After a rotation no hash is one of the older secret's."""
    factories.api_key(caller)
    hashes = select(ApiKeySecret.secret_hash)
    before = set(fresh.read(lambda session: session.scalars(hashes).all()))
    _rotate(fresh)
    assert before.isdisjoint(fresh.read(lambda session: session.scalars(hashes).all()))


def test_running_service_follows(
    live_service: Callable[..., Any], database_url: str, tmp_path: Path
) -> None:
    """A running service goes on while another process rotates the secret."""
    service = live_service(database_url, "--auto-migrate")
    with httpx.Client(base_url=service.internal) as client:
        key = _live_key(client)
        command = [sys.executable, "-m", "maimconfig", "rotate-secret"]
        environment = {
            "MAIMCONFIG_INSTANCE": str(service.instance),
            "DATABASE_URL": database_url,
            "PATH": str(Path(shutil.which("true") or "/bin/true").parent),
        }
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path
        )
        assert ran.returncode == 0, ran.stderr
        assert client.post(VALIDATE, json={"api_key": key}).status_code == 200
        assert client.post(VALIDATE, json={"api_key": _live_key(client, "2")}).status_code == 200


def _live_key(client: httpx.Client, suffix: str = "") -> str:
    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return client.post(f"/api/v2{path}", json=body).raise_for_status().json()["data"]

    tenant = post("/tenants", {"tenant_name": f"t{suffix}", "tenant_type": "personal"})
    agent = post("/agents", {"tenant_id": tenant["id"], "name": "a", "config": CONFIG})
    body = {"tenant_id": tenant["id"], "agent_id": agent["id"], "name": "k"}
    return post("/api-keys", body)["api_key"]
