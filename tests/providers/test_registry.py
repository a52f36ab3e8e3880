"""From an agent's configuration and the system's catalogue to what is asked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from maimconfig.providers.registry import SYSTEM, plan_of, targets_of
from maimconfig.setting_types import OperatorProvider
from maimconfig.system.catalogue import Catalogue, load_models

TENANT = "tenant_a"
FILE = """
[[api_providers]]
name = "Cloud"
base_url = "https://cloud.example.com/v1"
api_key = "sk-1, sk-2,,sk-1"
max_retry = 4
timeout = 60
retry_interval = 3

[[api_providers]]
name = "Ollama"
base_url = "http://10.0.0.1:11434/v1"

[[models]]
name = "big"
model_identifier = "big-2026"
api_provider = "Cloud"
price_in = 0.1
price_out = 8
temperature = 0.5
force_stream_mode = true
[models.extra_params]
enable_thinking = false

[[models]]
name = "small"
model_identifier = "qwen3"
api_provider = "Ollama"

[model_task_config.replyer]
model_list = ["big", "small"]
temperature = 0.2
max_tokens = 800
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """The operator's file."""
    (tmp_path / "models.toml").write_text(FILE)
    return load_models(tmp_path / "models.toml", {})


def config(**model: Any) -> dict[str, Any]:
    """An agent's configuration with this section `model`."""
    return {"config_overrides": {"model": model}}


def own(*models: str, **provider: Any) -> dict[str, Any]:
    """An agent with a provider and models of its own, which it asks in this order."""
    row = {"name": "mine", "base_url": "https://mine.example.com/v1", "api_key": "sk-mine"}
    return config(
        api_providers=[row | provider],
        models=[
            {"name": name, "model_identifier": f"{name}-id", "api_provider": "mine"}
            for name in models
        ],
        model_task_config={"replyer": {"model_list": [*models, "small"]}},
    )


class TestSystem:
    def test_order(self, catalogue: Catalogue) -> None:
        """An agent that says nothing gets the system's models."""
        assert [t.name for t in targets_of(catalogue, {}, TENANT)] == ["big", "small"]

    def test_target(self, catalogue: Catalogue) -> None:
        """A target has what the file says."""
        big, small = targets_of(catalogue, {}, TENANT)
        assert (big.identifier, big.temperature, big.stream_only) == ("big-2026", 0.5, True)
        assert (big.price_in, big.price_out) == (Decimal("0.1"), Decimal("8.0"))
        assert big.extra_params == {"enable_thinking": False}
        place = big.endpoint
        assert (place.scope, place.name, place.trusted) == (SYSTEM, "Cloud", True)
        assert (place.max_retry, place.timeout, place.retry_interval) == (4, 60, 3)
        assert place.api_keys == ("sk-1", "sk-2")
        assert small.endpoint.api_keys == ()

    def test_built_in(self) -> None:
        """A built-in provider without a key isn't switched on; without any, nobody is asked."""
        assert targets_of(load_models(None, {}), {}, TENANT) == ()
        found = load_models(None, {"openai": OperatorProvider(api_key="sk-1")})
        assert [t.endpoint.name for t in targets_of(found, {}, TENANT)] == ["openai"]

    def test_task(self, catalogue: Catalogue) -> None:
        """The task's settings are the agent's, else the system's, else the field table's."""
        plan = plan_of(catalogue, {}, TENANT)
        assert (plan.max_tokens, plan.temperature, plan.slow_threshold) == (800, 0.2, 15.0)
        changed = config(model_task_config={"replyer": {"max_tokens": 5, "temperature": None}})
        plan = plan_of(catalogue, changed, TENANT)
        assert (plan.max_tokens, plan.temperature) == (5, 0.2)

    def test_unknown_task(self, catalogue: Catalogue) -> None:
        """A task that nobody knows has no targets."""
        assert plan_of(catalogue, {}, TENANT, task="utils").targets == ()


class TestOwn:
    def test_order(self, catalogue: Catalogue) -> None:
        """The agent's list goes first, then the system's; no model is asked twice."""
        found = targets_of(catalogue, own("m1", "m2"), TENANT)
        assert [t.name for t in found] == ["m1", "m2", "small", "big"]

    def test_scope(self, catalogue: Catalogue) -> None:
        """Its provider is the tenant's, and not trusted."""
        place = targets_of(catalogue, own("m1"), TENANT)[0].endpoint
        assert (place.scope, place.name, place.trusted) == (TENANT, "mine", False)
        assert (place.api_keys, place.max_retry, place.timeout) == (("sk-mine",), 2, 10)

    def test_hides_system(self, catalogue: Catalogue) -> None:
        """A model of its own hides the system's of that name."""
        assert targets_of(catalogue, own("big"), TENANT)[0].endpoint.scope == TENANT

    def test_system_names(self, catalogue: Catalogue) -> None:
        """A provider of its own with a system provider's name is no way to the system's key."""
        found = own("m1", name="Cloud")
        found["config_overrides"]["model"]["models"][0]["api_provider"] = "Cloud"
        place = targets_of(catalogue, found, TENANT)[0].endpoint
        assert (place.scope, place.api_keys) == (TENANT, ("sk-mine",))

    @pytest.mark.parametrize(
        "broken",
        [
            {"model_task_config": {"replyer": {"model_list": ["gone", 5, None]}}},
            {"model_task_config": [], "models": {}, "api_providers": "x"},
            {"models": [None, {"name": "m"}, {"name": "m", "api_provider": "gone"}]},
            {"model_task_config": {"replyer": None}, "models": None},
        ],
    )
    def test_broken(self, catalogue: Catalogue, broken: dict[str, Any]) -> None:
        """What makes no sense in a legacy configuration is left out."""
        assert [t.name for t in targets_of(catalogue, config(**broken), TENANT)] == ["big", "small"]

    def test_no_secrets_in_reprs(self, catalogue: Catalogue) -> None:
        """A plan shows neither keys nor addresses."""
        shown = repr(plan_of(catalogue, own("m1"), TENANT))
        assert "sk-" not in shown
        assert "example.com" not in shown
