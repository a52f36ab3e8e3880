"""Galera nodes, and what works on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maimconfig.runtime import Runtime
from maimconfig.settings import load_settings
from tests.cli.command import succeeds
from tests.contract.harness import MASTER_SECRET
from tests.servers.galera import Galera
from tests.servers.mariadb import fresh_database
from tests.servers.private import ServerUnavailable


@pytest.fixture(scope="session")
def galera() -> Iterator[Galera]:
    """Three nodes, which a test that harms one leaves as it found them: to start them takes longer
    than most tests."""
    try:
        found = Galera()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    with contextlib.closing(found):
        yield found


@pytest.fixture(scope="module")
def database_urls(galera: Galera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """URLs of one database with all tables, by way of each node."""
    with fresh_database(galera.nodes[0].url) as url:
        folder: Path = tmp_path_factory.mktemp("upgrade")
        settings = {"DATABASE_URL": url, "MAIMCONFIG_SECRET_KEY": MASTER_SECRET}
        succeeds("db", "upgrade", instance=folder, **settings)
        name = url.rpartition("/")[2]
        yield [f"{node.url}{name}" for node in galera.nodes]


@pytest.fixture(scope="module")
def runtimes(
    database_urls: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Runtime]]:
    """The running service of two processes, each on a node of its own, in this process."""
    folder: Path = tmp_path_factory.mktemp("runtimes")
    with contextlib.ExitStack() as ends:
        found = []
        for number, url in enumerate(database_urls[:2]):
            env = {
                "DATABASE_URL": url,
                "MAIMCONFIG_SECRET_KEY": MASTER_SECRET,
                "MAIMCONFIG_INSTANCE": str(folder / str(number)),
            }
            settings = replace(load_settings(env), pool_size=20)
            found.append(Runtime.open(settings))
            ends.callback(found[-1].close)
        yield found
