"""Fixtures of the app in this process: a runtime on either database, and callers of its planes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask

from maimconfig import logs
from maimconfig.app import create_app
from maimconfig.planes import PLANES, Plane
from maimconfig.runtime import Runtime
from maimconfig.security import passwords
from maimconfig.setting_types import database_url
from maimconfig.settings import Settings, load_settings
from tests.api import Api
from tests.serving.harness import eventually


@pytest.fixture(scope="session")
def settings(migrated_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service on the migrated database, with everything else as it is by default."""
    instance = tmp_path_factory.mktemp("instance")
    bare = load_settings({"MAIMCONFIG_INSTANCE": str(instance)})
    found = replace(
        bare,
        database_url=database_url(migrated_database_url),
        log_format="json",
        # All tests call from one address; what throttles is tested with `public_with`.
        login_attempts_per_minute=100_000,
    )
    logs.configure(found)
    return found


@pytest.fixture(scope="session")
def runtime(settings: Settings) -> Iterator[Runtime]:
    """The running service of this worker, on SQLite and on MySQL."""
    opened = Runtime.open(settings)
    # Webhooks of tests lead to nobody; who wants deliveries has a service of its own for them.
    opened.webhooks.close()
    # Sessions expire when a test says so, and not by themselves a moment before.
    opened.background._expire_sessions = lambda: None  # type: ignore[method-assign]
    yield opened
    opened.close()


@pytest.fixture(scope="session", autouse=True)
def _password_cost() -> Iterator[tuple[PasswordHasher, str]]:
    """Passwords cost 1 ms in this process, not 66: most tests only need somebody to be there."""
    true = passwords._HASHER, passwords._NOBODYS
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", cheap)
        patch.setattr(passwords, "_NOBODYS", cheap.hash("nobody's"))
        yield true


@pytest.fixture
def true_password_cost(
    _password_cost: tuple[PasswordHasher, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passwords cost what they do in a service: for tests of that cost, or of what it races."""
    hasher, nobodys = _password_cost
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_NOBODYS", nobodys)


@pytest.fixture(scope="session")
def _internal_app(runtime: Runtime) -> Any:
    return _app("internal", runtime)


@pytest.fixture(scope="session")
def _public_app(runtime: Runtime) -> Any:
    return _app("public", runtime)


@pytest.fixture(autouse=True)
def _no_reply_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a reply under way fails itself, and not another one much later."""
    yield
    if "runtime" in request.fixturenames:
        runtime = request.getfixturevalue("runtime")
        eventually(lambda: not any(runtime.reply_slots(plane).taken for plane in PLANES))


@pytest.fixture
def api(_internal_app: Any) -> Api:
    """A caller of the internal plane."""
    return Api(_internal_app)


@pytest.fixture
def public(_public_app: Any) -> Api:
    """A caller of the public plane."""
    return Api(_public_app)


@pytest.fixture
def api_with(runtime_with: Callable[..., Runtime]) -> Callable[..., Api]:
    """Makes a caller of the internal plane of a service with other settings."""
    return lambda **changed: Api(_app("internal", runtime_with(**changed)))


@pytest.fixture
def public_with(runtime_with: Callable[..., Runtime]) -> Callable[..., Api]:
    """Makes a caller of the public plane of a service with other settings."""
    return lambda **changed: Api(_app("public", runtime_with(**changed)))


@pytest.fixture
def runtime_with(runtime: Runtime, settings: Settings) -> Iterator[Callable[..., Runtime]]:
    """Makes a service with other settings on the same database."""

    with contextlib.ExitStack() as ends:

        def start(**changed: Any) -> Runtime:
            opened = Runtime.open(replace(settings, **changed))
            ends.callback(opened.close)
            return opened

        yield start


@pytest.fixture
def instance_folder(tmp_path: Path) -> Path:
    """An empty instance folder."""
    folder = tmp_path / "instance"
    folder.mkdir()
    return folder


def _app(plane: Plane, runtime: Runtime) -> Flask:
    app = create_app(plane, runtime)
    app.extensions["tests.runtime"] = runtime
    return app
