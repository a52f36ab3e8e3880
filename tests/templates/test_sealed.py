"""Secrets of templates at rest."""

from __future__ import annotations

from maimconfig.agents import config_secrets
from maimconfig.runtime import Runtime
from maimconfig.templates.models import AgentTemplate
from tests import factories
from tests.api import Api


def test_sealed(api: Api, runtime: Runtime) -> None:
    """A template's secrets are stored sealed, and can be opened by whoever calls its providers."""
    config = factories.sample_agent()["config"]
    made = factories.template(api, config=config)
    stored = runtime.read(lambda session: session.get_one(AgentTemplate, made["id"]).config)
    assert "to-be-masked" not in str(stored)
    assert config_secrets.unseal(stored, runtime.vault) == config
