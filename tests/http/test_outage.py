"""While the database can't be reached, every operation says so as it is documented to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import make_url

from maimconfig.app import create_app
from maimconfig.planes import PLANES
from maimconfig.runtime import Runtime
from maimconfig.security import tokens
from maimconfig.settings import load_settings
from tests.api import Api
from tests.factories.users import PASSWORD
from tests.http.operations import ON_PUBLIC, OPERATIONS, KeyHolder, Network

AWAY = "mysql+pymysql://root@127.0.0.1:1/none"

# They ask no database: they tell what the process knows by itself, or take a text apart.
ALONE = {
    "/", "/health", "/health/live", "/health/ready", "/info", "/api/v2/system/models",
    "/api/v2/system/providers",
    "/api/v2/system/bot-defaults", "/api/v2/auth/parse-api-key",
}  # fmt: skip


class Absent(dict[str, str]):
    """Ids of nothing, by whatever name."""

    def __missing__(self, name: str) -> str:
        return f"{name.removesuffix('_id')}_1"


class Nobody:
    """What a valid request is made of when there is nobody to ask for it."""

    api_key = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
    ids = Absent(version="1")

    def __init__(self) -> None:
        user = {"username": "nobody"}
        self.person = type("Person", (), {"user": user, "tokens": {}, "password": PASSWORD})()
        session = "mmr_login_1.1.00000000." + "0" * 64
        self.person.tokens = {"refresh_token": session}

    def of(self, *names: str) -> dict[str, str]:
        """Some of the ids, by name."""
        return {name: self.ids[name] for name in names}


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Api]]:
    """Callers of the planes of a service whose database can't be reached."""
    instance = tmp_path_factory.mktemp("instance")
    settings = load_settings({"MAIMCONFIG_INSTANCE": str(instance)})
    runtime = Runtime.open(replace(settings, database_url=make_url(AWAY)))
    apps = {plane: create_app(plane, runtime) for plane in PLANES}
    for app in apps.values():
        app.extensions["tests.runtime"] = runtime
    yield {plane: Api(app) for plane, app in apps.items()}
    runtime.close()


@pytest.mark.parametrize(
    ("plane", "operation"),
    [("internal", key) for key in OPERATIONS] + [("public", key) for key in ON_PUBLIC],
    ids=str,
)
def test_away(plane: Any, operation: tuple[str, str], away: dict[str, Api]) -> None:
    """Each operation answers 503 SYS_002 with Retry-After, and its document says that it may."""
    method, path = operation
    right = (OPERATIONS if plane == "internal" else ON_PUBLIC)[operation]
    world = Nobody()
    api = away[plane]
    vault = api.app.extensions["tests.runtime"].vault
    token = tokens.make_access(vault, "user_1", "login_1", timedelta(minutes=1))
    shown = world.api_key if right.caller is KeyHolder else token
    answer = api.call(
        method.upper(),
        path.format_map(world.ids),
        json=right.body(world) if right.body else None,
        query_string=right.query(world),
        headers={"Authorization": f"Bearer {shown}"} if right.caller is not Network else {},
    )
    if path in ALONE:
        assert answer.status_code in (200, 503)
        return
    if path == "/api/v2/chat/batch":
        # Each of its requests has an answer of its own.
        (result,) = api.data(answer)["results"]
        assert result["error_code"] == "SYS_002"
        return
    assert answer.status_code == 503, answer.get_data(as_text=True)
    body = answer.get_json()
    assert (body["error"]["code"] if path.startswith("/v1/") else body["error_code"]) == "SYS_002"
    assert int(answer.headers["Retry-After"]) > 0
