"""What tests of agents look into the database for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maimconfig.agents import config_secrets
from maimconfig.agents.models import Agent
from maimconfig.runtime import Runtime


@pytest.fixture
def secrets_of(runtime: Runtime) -> Callable[[dict[str, Any]], Any]:
    """Opens an agent's stored configuration, as whoever calls its providers does."""

    def opened(agent: dict[str, Any]) -> Any:
        stored = runtime.read(lambda session: session.get_one(Agent, agent["id"]).config)
        return config_secrets.unseal(stored, runtime.vault)

    return opened
