"""Rotation of the master secret."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import threading
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
from maimconfig.db.lifecycle import StartError
from maimconfig.key_checks import service as key_checks
from maimconfig.runtime import Runtime
from maimconfig.security import rotation
from maimconfig.security.secret_file import SecretFile
from maimconfig.setting_types import database_url as as_url
from maimconfig.settings import load_settings
from maimconfig.webhooks import service as webhooks
from tests import factories
from tests.api import Api
from tests.db.opening import opened
from tests.factories.webhooks import webhook
from tests.serving.harness import eventually

PROVIDER = {
    "name": "own",
    "base_url": "https://llm.example.com/v1",
    "api_key": "sk-canary-provider",
}
CONFIG = {"config_overrides": {"model": {"api_providers": [PROVIDER]}}}
VALIDATE = "/api/v2/auth/validate-api-key"
OLD = "0123456789abcdefghijklmnopqrstuvwxyz"
NEW = "zyxwvutsrqponmlkjihgfedcba9876543210"


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
    runtime.vault.reload()
    return rotation.move_all(runtime)


def test_moves_everything(fresh: Runtime, caller: Api) -> None:
    """After a rotation keys still validate, secrets still open, and all is under the new one."""
    agent = factories.agent(caller, config=CONFIG)
    key = factories.api_key(caller, agent)
    caller.post(f"/api/v2/api-keys/{key['id']}/rotate", {"grace_seconds": 3600})
    hook = webhook(caller)
    assert _rotate(fresh) > 0
    SecretFile(fresh.settings.instance / "secret.key").forget_previous()
    fresh.vault.reload()
    assert len(fresh.vault.key_ids) == 1
    assert caller.data(caller.post(VALIDATE, {"api_key": key["api_key"]}))["valid"]
    shown = caller.data(caller.get(f"/api/v2/api-keys/{key['id']}"))["api_key"]
    assert caller.data(caller.post(VALIDATE, {"api_key": shown}))["valid"]
    assert fresh.read(_provider_key) == "sk-canary-provider"
    secret = fresh.read(lambda s: webhooks.secret_of(s, webhooks.get(s, hook["id"])))
    assert secret == hook["secret"]


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


def _service(fresh: Runtime) -> Runtime:
    """Another process of the same service, as it were."""
    return Runtime.open(fresh.settings)


def test_checks_while_rotating(fresh: Runtime, caller: Api) -> None:
    """While secrets are rotated and forgotten no check of a good key fails, in any process."""
    key = factories.api_key(caller)["api_key"]
    file = SecretFile(fresh.settings.instance / "secret.key")
    over = threading.Event()
    refused: list[Any] = []
    checks = [0, 0, 0]

    def check(number: int, runtime: Runtime) -> None:
        while not over.is_set():
            verdict = key_checks.check(runtime, key, address=None, count=False).verdict
            checks[number] += 1
            if verdict.reason is not None:
                refused.append((number, verdict.reason))

    with contextlib.closing(_service(fresh)) as other:
        threads = [
            threading.Thread(target=check, args=(number, runtime))
            for number, runtime in enumerate((other, other, fresh))
        ]
        for thread in threads:
            thread.start()
        try:
            for round_ in range(20):
                # A check spans one rotation at most: the next waits for two checks of each.
                before = list(checks)
                _rotate(fresh)
                eventually(
                    lambda before=before: all(
                        now > then + 1 for now, then in zip(checks, before, strict=True)
                    )
                )
                if round_ % 2:
                    file.forget_previous()
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert refused == []


def test_new_values_are_under_the_new_secret(fresh: Runtime, caller: Api) -> None:
    """Once a secret is rotated, no process puts anything new under the older one."""
    with contextlib.closing(_service(fresh)) as other:
        _rotate(other)
        key = factories.api_key(caller, factories.agent(caller, config=CONFIG))
        SecretFile(fresh.settings.instance / "secret.key").forget_previous()
    with contextlib.closing(_service(fresh)) as later:
        assert len(later.vault.key_ids) == 1
        api = Api(create_app("internal", later))
        assert api.data(api.post(VALIDATE, {"api_key": key["api_key"]}))["valid"]
        assert api.data(api.get(f"/api/v2/api-keys/{key['id']}"))["api_key"] == key["api_key"]
        assert later.read(_provider_key) == "sk-canary-provider"


def test_answers_are_forgotten(fresh: Runtime, caller: Api) -> None:
    """A stored answer doesn't outlive the secret that it is under, and its key is free again."""
    headers = {"Idempotency-Key": "k"}
    body = {"tenant_name": "once", "tenant_type": "personal"}
    caller.data(caller.post("/api/v2/tenants", body, headers=headers))
    _rotate(fresh)
    again = caller.post("/api/v2/tenants", body, headers=headers)
    caller.error(again, 409, "TENANT_002")


def test_command(fresh: Runtime, caller: Api, database_url: str, tmp_path: Path) -> None:
    """The command moves all to one fresh secret, says how much, and can drop the older ones."""
    key = factories.api_key(caller, factories.agent(caller, config=CONFIG))
    before = fresh.vault.current.id
    told = _command(fresh.settings.instance, database_url, tmp_path, "--forget-previous")
    # The key's two sealed texts, the agent and its first version.
    assert re.fullmatch(r"[34] values are now under the master secret [0-9a-f]{8}\.\n", told)
    assert before not in told
    with contextlib.closing(_service(fresh)) as later:
        assert len(later.vault.key_ids) == 1
        assert later.vault.current.id in told
        api = Api(create_app("internal", later))
        assert api.data(api.post(VALIDATE, {"api_key": key["api_key"]}))["valid"]
    resumed = _command(fresh.settings.instance, database_url, tmp_path, "--resume")
    assert resumed.startswith("0 values")


def test_given_secret(database_url: str, instance_folder: Path, tmp_path: Path) -> None:
    """With the secret in the settings, the old one among the previous ones is moved away from."""
    with opened(database_url, instance_folder, secret_key=OLD) as runtime:
        api = Api(create_app("internal", runtime))
        key = factories.api_key(api, factories.agent(api, config=CONFIG))["api_key"]
    with opened(database_url, instance_folder, secret_key=NEW, previous_secret_keys=(OLD,)) as both:
        api = Api(create_app("internal", both))
        assert api.data(api.post(VALIDATE, {"api_key": key}))["valid"]
        given = {"MAIMCONFIG_SECRET_KEY": NEW, "MAIMCONFIG_PREVIOUS_SECRET_KEYS": OLD}
        _command(instance_folder, database_url, tmp_path, **given)
    with opened(database_url, instance_folder, secret_key=NEW) as after:
        api = Api(create_app("internal", after))
        assert api.data(api.post(VALIDATE, {"api_key": key}))["valid"]
        assert after.read(_provider_key) == "sk-canary-provider"
    with pytest.raises(StartError), opened(database_url, instance_folder, secret_key=OLD):
        pass
    assert not (instance_folder / "secret.key").exists()


def _command(instance: Path, url: str, folder: Path, *arguments: str, **env: str) -> str:
    """What `maimconfig rotate-secret` says."""
    ran = subprocess.run(
        [sys.executable, "-m", "maimconfig", "rotate-secret", *arguments],
        env={"MAIMCONFIG_INSTANCE": str(instance), "DATABASE_URL": url, "PATH": "/bin", **env},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
