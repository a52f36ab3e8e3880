"""Fixtures that all tests share: databases, servers, the service itself."""

from __future__ import annotations

import compileall
import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import shared
from tests.servers.mariadb import MariaDB, fresh_database
from tests.servers.private import ServerUnavailable
from tests.servers.redis import Redis
from tests.servers.schema import MigratedDatabase
from tests.servers.service import LiveService

pytest_plugins = ["tests.no_skips", "tests.app_fixtures"]

BACKENDS = ("sqlite", "mysql")
_mariadb = pytest.StashKey[shared.SharedMariaDB]()


def pytest_configure(config: pytest.Config) -> None:
    """The controller of pytest-xdist (or the only process) owns the MariaDB of the run."""
    if not hasattr(config, "workerinput"):
        config.stash[_mariadb] = shared.SharedMariaDB()
        # Hundreds of processes are started, which can't all leave bytecode behind where
        # PYTHONDONTWRITEBYTECODE is set.
        compileall.compile_dir(config.rootpath / "maimconfig", quiet=1)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """For `-n auto`: one worker more than there are CPUs, for a test waits a third of its time."""
    return (yield) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where to ask for the MariaDB."""
    node.workerinput["mariadb"] = node.config.stash[_mariadb].address()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the MariaDB of the run."""
    if _mariadb in config.stash:
        config.stash[_mariadb].close()


@pytest.fixture(scope="session")
def mysql_server_url(pytestconfig: pytest.Config) -> str:
    """URL of the run's MySQL or MariaDB, whose account may create databases.

    MAIMCONFIG_TEST_MYSQL_URL names one; else a private MariaDB is started. Skips without either.
    """
    if given := shared.given_url("MAIMCONFIG_TEST_MYSQL_URL"):
        return given
    with _skipping():
        if hasattr(pytestconfig, "workerinput"):
            return shared.ask(pytestconfig.workerinput["mariadb"])
        return pytestconfig.stash[_mariadb].url()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis: MAIMCONFIG_TEST_REDIS_URL, or a private one of this worker.

    It isn't shared among workers, for publish and subscribe know no databases to keep tests apart.
    """
    if given := shared.given_url("MAIMCONFIG_TEST_REDIS_URL"):
        yield given
        return
    with _skipping():
        server = Redis()
    with contextlib.closing(server):
        yield server.url


@pytest.fixture
def private_mariadb() -> Iterator[MariaDB]:
    """A MariaDB for this test alone, which may stop, kill, pause and restart it."""
    with _skipping():
        server = MariaDB()
    with contextlib.closing(server):
        yield server


@pytest.fixture
def private_redis() -> Iterator[Redis]:
    """A Redis for this test alone."""
    with _skipping():
        server = Redis()
    with contextlib.closing(server):
        yield server


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh database without tables; the test runs on SQLite and on MySQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'maimconfig.db'}"
        return
    with fresh_database(request.getfixturevalue("mysql_server_url")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_database_url(_migrated_database: MigratedDatabase) -> str:
    """URL of a database with all tables, whose rows are deleted after each test.

    Each worker has one a backend for the whole run, since making the tables takes longer than most
    tests; so what is built upon it, an app for example, may have the session's scope too.
    """
    return _migrated_database.url


@pytest.fixture(autouse=True)
def _empty_tables(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty the migrated database after a test that used it."""
    if "_migrated_database" not in request.fixturenames:
        yield
        return
    database = request.getfixturevalue("_migrated_database")
    yield
    database.empty()


@pytest.fixture(scope="session", params=BACKENDS)
def _migrated_database(request: pytest.FixtureRequest) -> MigratedDatabase:
    return request.getfixturevalue(f"_migrated_{request.param}")


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MigratedDatabase]:
    file = tmp_path_factory.mktemp("migrated") / "maimconfig.db"
    with contextlib.closing(MigratedDatabase(f"sqlite:///{file}")) as database:
        yield database


@pytest.fixture(scope="session")
def _migrated_mysql(mysql_server_url: str) -> Iterator[MigratedDatabase]:
    with (
        fresh_database(mysql_server_url) as url,
        contextlib.closing(MigratedDatabase(url)) as database,
    ):
        yield database


@pytest.fixture
def live_service(tmp_path: Path) -> Iterator[Callable[..., LiveService]]:
    """Starts the real service in a process of its own: `live_service(database_url)`.

    Takes what LiveService takes after the folder; ends what it started.
    """
    with contextlib.ExitStack() as ends:
        services: list[LiveService] = []

        def start(database_url: str | None = None, *arguments: str, **options: Any) -> LiveService:
            folder = tmp_path / f"service{len(services)}"
            services.append(LiveService(folder, database_url, *arguments, **options))
            ends.callback(services[-1].close)
            return services[-1]

        yield start


@contextlib.contextmanager
def _skipping() -> Iterator[None]:
    """Skip where a server can't be had."""
    try:
        yield
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
