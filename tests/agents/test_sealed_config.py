"""Secrets of agents at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from maimconfig.runtime import Runtime
from tests import factories
from tests.api import Api

SECRETS = ("sk-to-be-masked", "token-to-be-masked", "llm.example.com")


def stored_text(runtime: Runtime) -> str:
    """All that the tables of agents and their versions hold."""
    with runtime.database.reader.connect() as connection:
        return str(
            [
                tuple(row)  # the text of a Row itself leaves out the middle of what is long
                for table in ("agents", "agent_config_versions", "audit_logs")
                for row in connection.execute(text(f"SELECT * FROM {table}"))
            ]
        )


def test_sealed(api: Api, runtime: Runtime, secrets_of: Callable[..., Any]) -> None:
    """Secrets are stored sealed in the agent, its versions and the audit log, and can be opened
    by whoever calls the agent's providers."""
    sample = factories.sample_agent()
    agent = factories.agent(api, **sample)
    api.data(api.put(f"/api/v2/agents/{agent['id']}/config", {"persona": "猫"}))
    found = stored_text(runtime)
    assert "enc:" in found
    assert not [secret for secret in SECRETS if secret in found]
    assert secrets_of(agent) == {**sample["config"], "persona": "猫"}


def test_never_the_same(api: Api, runtime: Runtime) -> None:
    """The same secret is sealed differently each time, so that equal ones can't be told."""
    config = factories.providers(factories.provider())
    agents = [factories.agent(api, config=config) for _ in range(2)]
    with runtime.database.reader.connect() as connection:
        rows = connection.execute(text("SELECT config FROM agents")).scalars().all()
    assert len(agents) == len(set(rows)) == 2
