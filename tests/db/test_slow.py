"""Statements that took long are logged by their names, never with their values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import select, update

from maimconfig.api_keys.models import ApiKey
from maimconfig.db.slow import name_of
from maimconfig.key_checks.look_up import KEY_BY_HASH
from tests.contract.harness import Remote
from tests.servers.service import LiveService


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT a, b FROM api_keys JOIN tenants ON x WHERE y = ?", "SELECT api_keys"),
        ("select `a` from `agents`", "SELECT agents"),
        ("INSERT INTO audit_logs (a) VALUES (?)", "INSERT audit_logs"),
        ("UPDATE tenants SET a = ?", "UPDATE tenants"),
        ("DELETE FROM sessions WHERE id = 'secret from nobody'", "DELETE sessions"),
        ("SELECT 'secret' FROM hidden", "SELECT"),
        ("BEGIN IMMEDIATE", "BEGIN"),
        ("SELECT 1", "SELECT"),
        ("SELECT count(*) AS n\nFROM (SELECT x FROM usage_records) AS y", "SELECT usage_records"),
        ("", "?"),
        (str(select(ApiKey.id).where(ApiKey.name == "secret")), "SELECT api_keys"),
        (str(update(ApiKey).values(name="secret")), "UPDATE api_keys"),
        (str(KEY_BY_HASH.statement), "SELECT api_key_secrets"),
    ],
)
def test_names(statement: str, name: str) -> None:
    """A statement is called by its verb and its first table."""
    assert name_of(statement) == name


def test_lines(live_service: Callable[..., LiveService], migrated_database_url: str) -> None:
    """With a limit that all exceed every statement and request is logged, and no value with it."""
    # The smallest limit there is still lets quick ones through, so a lock makes one wait.
    env = {"MAIMCONFIG_SLOW_QUERY_MS": "1", "MAIMCONFIG_SLOW_REQUEST_MS": "1"}
    service = live_service(migrated_database_url, env=env)
    with Remote(service.internal) as caller:
        for number in range(20):
            caller.key(name=f"private words {number}")
        httpx.get(f"{service.internal}/nowhere")
    assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.splitlines()]
    slow = [line for line in lines if line["event"] == "query.slow"]
    assert slow, "not one of hundreds of statements took a millisecond"
    for line in slow:
        assert line["duration_ms"] >= 1
        assert re.fullmatch(r"[A-Z]+( \w+)?", line["statement"])
    requests = [line for line in lines if line["event"] == "request.slow"]
    assert {line["route"] for line in requests} >= {"/api/v2/api-keys"}
    assert "private words" not in service.log
