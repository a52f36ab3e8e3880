"""`maimconfig rotate-secret`, with the secret in the instance folder or in the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maimconfig.app import create_app
from maimconfig.runtime import Runtime
from maimconfig.security.secret_file import SecretFile
from maimconfig.settings import load_settings
from tests import factories
from tests.api import Api
from tests.cli.command import fails, maimconfig, succeeds
from tests.contract.harness import Remote
from tests.servers.service import LiveService

FIRST = "Xb3nW9sK-0fGt5RqLc7Vy1ZoPd4MhAe8Ji-first"
SECOND = "q8Zr1vT0-pLk4Nw7YxEe2JmUa6DsHc9Gb-second"
VALIDATE = "/api/v2/auth/validate-api-key"


@dataclass
class Store:
    """An instance folder and a database, in which there is a key.

    Attributes:
        env: the variables of a service on them.
        api_key: the key in full.
    """

    instance: Path
    env: dict[str, str]
    api_key: str = ""

    @property
    def secrets(self) -> list[str]:
        """The secrets of the instance folder, the current one first."""
        return SecretFile(self.instance / "secret.key").read()

    def rotate(self, *options: str, **env: str) -> str:
        """Run the command."""
        return succeeds("rotate-secret", *options, instance=self.instance, **{**self.env, **env})

    def with_api(self, use: Callable[[Api], Any], **env: str) -> Any:
        """Use the internal plane of a service that is started for it."""
        variables = {"MAIMCONFIG_INSTANCE": str(self.instance), **self.env, **env}
        runtime = Runtime.open(load_settings(variables), auto_migrate=True)
        try:
            return use(Api(create_app("internal", runtime)))
        finally:
            runtime.close()

    def make_key(self, **env: str) -> None:
        """Put a key and an agent's secrets into the database."""

        def make(api: Api) -> str:
            config = factories.providers(factories.provider("own"))
            return factories.api_key(api, factories.agent(api, config=config))["api_key"]

        self.api_key = self.with_api(make, **env)

    def is_good(self, **env: str) -> bool:
        """Whether a service that is started now takes the key for good."""

        def check(api: Api) -> bool:
            answer = api.post(VALIDATE, {"api_key": self.api_key})
            assert answer.status_code in (200, 401), answer.get_data(as_text=True)
            return answer.status_code == 200

        return self.with_api(check, **env)


@pytest.fixture
def store(instance_folder: Path, migrated_database_url: str) -> Store:
    """An instance folder and a database, empty."""
    return Store(instance_folder, {"DATABASE_URL": migrated_database_url})


def test_fresh_secret(store: Store) -> None:
    """A fresh secret is put in front, everything stored moves under it, the older one is kept."""
    store.make_key()
    (before,) = store.secrets
    said = store.rotate()
    current, older = store.secrets
    assert (older, len(current)) == (before, 64)
    assert current != before
    # The key's two sealed texts are of one secret; beside it the agent and its first version.
    assert said.startswith("3 values are now under the master secret ")
    assert current not in said
    assert store.is_good()


def test_forget_previous(store: Store) -> None:
    """`--forget-previous` keeps the fresh secret alone, and nothing stored needs the older one."""
    store.make_key()
    store.rotate("--forget-previous")
    assert len(store.secrets) == 1
    assert store.is_good()


def test_resume(store: Store) -> None:
    """`--resume` makes no further secret and finishes what a rotation left undone."""
    store.make_key()
    SecretFile(store.instance / "secret.key").rotate()  # and then it was interrupted
    two = store.secrets
    assert store.rotate("--resume").startswith("3 values ")
    assert store.secrets == two
    assert store.rotate("--resume", "--forget-previous").startswith("0 values ")
    assert store.secrets == two[:1]
    assert store.is_good()


def test_secret_in_the_environment(store: Store) -> None:
    """With the new secret in MAIMCONFIG_SECRET_KEY and the old one among the previous ones the
    stored values move, after which the old one isn't needed.
    """
    store.make_key(MAIMCONFIG_SECRET_KEY=FIRST)
    both = {"MAIMCONFIG_SECRET_KEY": SECOND, "MAIMCONFIG_PREVIOUS_SECRET_KEYS": FIRST}
    assert store.is_good(**both)
    assert store.rotate(**both).startswith("3 values ")
    assert store.rotate(**both).startswith("0 values ")
    assert store.is_good(MAIMCONFIG_SECRET_KEY=SECOND)
    assert not (store.instance / "secret.key").exists()


def test_secret_of_another_database(store: Store) -> None:
    """A secret that the database isn't under moves nothing, and that is one sentence."""
    store.make_key(MAIMCONFIG_SECRET_KEY=FIRST)
    env = {**store.env, "MAIMCONFIG_SECRET_KEY": SECOND}
    sentence = fails("rotate-secret", instance=store.instance, **env)
    assert "MAIMCONFIG_SECRET_KEY" in sentence
    assert SECOND not in sentence
    assert store.is_good(MAIMCONFIG_SECRET_KEY=FIRST)


def test_empty_database(instance_folder: Path, database_url: str) -> None:
    """On a database without tables the secret stays, and it's said what is to be done first."""
    if database_url.startswith("sqlite"):
        assert succeeds("rotate-secret", instance=instance_folder, DATABASE_URL=database_url)
        return  # the embedded file is made, there and then
    sentence = fails("rotate-secret", instance=instance_folder, DATABASE_URL=database_url)
    assert "`maimconfig db upgrade`" in sentence
    assert len(SecretFile(instance_folder / "secret.key").read()) == 1


def test_database_away(instance_folder: Path) -> None:
    """With the database away the secret stays, and that is said in one sentence."""
    nobody = "mysql://u:a-password@127.0.0.1:1/x"
    done = maimconfig("rotate-secret", instance=instance_folder, DATABASE_URL=nobody)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("maimconfig: The database can't be reached: ")
    assert "Traceback" not in done.stderr
    assert len(SecretFile(instance_folder / "secret.key").read()) == 1


def test_while_a_service_runs(
    live_service: Callable[..., LiveService], migrated_database_url: str
) -> None:
    """What a running service stores after a rotation is under the fresh secret, although nothing
    has told the service of it: with the older one forgotten it still opens after a restart.
    """
    service = live_service(migrated_database_url)
    store = Store(service.instance, {"DATABASE_URL": migrated_database_url})
    store.rotate("--forget-previous")
    with Remote(service.internal) as caller:
        key = caller.key()
    service.restart()
    with Remote(service.internal) as caller:
        assert caller.data("POST", VALIDATE, {"api_key": key["api_key"]})["valid"] is True
        assert caller.data("GET", f"/api/v2/api-keys/{key['id']}")["api_key"] == key["api_key"]
