"""Which models an agent's task asks, in order: from its configuration and the system's catalogue.

An agent's own models are at its own providers, under its tenant's scope and the outbound rules; all
others are the system's. `client_type` makes no difference: Gemini (…/v1beta/openai) and Anthropic
(https://api.anthropic.com/v1) have endpoints that speak OpenAI's protocol, and it is the one spoken
to all. An `api_key` may hold several keys, separated by commas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from maimconfig.agents import config_fields
from maimconfig.providers.types import Endpoint, Target
from maimconfig.system.catalogue import Catalogue, Model, Provider

SYSTEM: Final = "system"
MAX_KEYS: Final = 16
_MODEL: Final = "config_overrides.model"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a task is done.

    Attributes:
        targets: in the order to try them; none means the built-in offline provider.
        max_tokens: of the reply.
        temperature: for models without one of their own.
        slow_threshold: seconds; a slower reply is logged.
    """

    targets: tuple[Target, ...]
    max_tokens: int
    temperature: float
    slow_threshold: float


def plan_of(
    catalogue: Catalogue, config: Mapping[str, Any], tenant_id: str, task: str = "replyer"
) -> Plan:
    """What an agent's task asks.

    The models of the agent's own list come first, then the system's. A name that nobody has, a
    model whose provider isn't there, and a built-in provider without a key are left out.

    Args:
        catalogue: the system's providers and models.
        config: the agent's effective configuration with its secrets in the clear.
        tenant_id: whose agent it is.
        task: of model_task_config.
    """
    own = _table(_table(config, "config_overrides"), "model")
    asked = {
        k: v for k, v in _table(_table(own, "model_task_config"), task).items() if v is not None
    }
    system = dict(catalogue.tasks.get(task, {}))
    known = _system_targets(catalogue) | _own_targets(own, tenant_id)
    names = [*_names(asked), *_names(system)]
    how = config_fields.item_defaults(f"{_MODEL}.model_task_config.<task>") | system | asked
    return Plan(
        targets=tuple(known[name] for name in dict.fromkeys(names) if name in known),
        max_tokens=int(how["max_tokens"]),
        temperature=float(how["temperature"]),
        slow_threshold=float(how["slow_threshold"]),
    )


def targets_of(
    catalogue: Catalogue, config: Mapping[str, Any], tenant_id: str, task: str = "replyer"
) -> tuple[Target, ...]:
    """The targets of `plan_of`."""
    return plan_of(catalogue, config, tenant_id, task).targets


def _names(task: Mapping[str, Any]) -> list[str]:
    names = task.get("model_list")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _system_targets(catalogue: Catalogue) -> dict[str, Target]:
    endpoints = {
        provider.name: _system_endpoint(provider)
        for provider in catalogue.providers
        if provider.is_enabled
    }
    return {
        model.name: _system_target(model, endpoints[model.api_provider])
        for model in catalogue.models
        if model.api_provider in endpoints
    }


def _system_endpoint(provider: Provider) -> Endpoint:
    return Endpoint(
        scope=SYSTEM,
        name=provider.name,
        base_url=provider.base_url,
        api_keys=_keys(provider.api_key),
        trusted=True,
        max_retry=provider.max_retry,
        timeout=provider.timeout,
        retry_interval=provider.retry_interval,
    )


def _system_target(model: Model, endpoint: Endpoint) -> Target:
    return Target(
        name=model.name,
        identifier=model.model_identifier,
        endpoint=endpoint,
        price_in=_price(model.price_in),
        price_out=_price(model.price_out),
        temperature=model.temperature,
        stream_only=model.force_stream_mode,
        extra_params=model.extra_params,
    )


def _own_targets(own: Mapping[str, Any], tenant_id: str) -> dict[str, Target]:
    endpoints = {
        row["name"]: _own_endpoint(row, tenant_id)
        for row in _rows(own, "api_providers", ("name", "base_url"))
    }
    return {
        row["name"]: _own_target(row, endpoints[row["api_provider"]])
        for row in _rows(own, "models", ("name", "model_identifier", "api_provider"))
        if row["api_provider"] in endpoints
    }


def _own_endpoint(row: Mapping[str, Any], tenant_id: str) -> Endpoint:
    return Endpoint(
        scope=tenant_id,
        name=row["name"],
        base_url=row["base_url"],
        api_keys=_keys(row.get("api_key")),
        trusted=False,
        max_retry=row["max_retry"],
        timeout=row["timeout"],
        retry_interval=row["retry_interval"],
    )


def _own_target(row: Mapping[str, Any], endpoint: Endpoint) -> Target:
    return Target(
        name=row["name"],
        identifier=row["model_identifier"],
        endpoint=endpoint,
        price_in=_price(row["price_in"]),
        price_out=_price(row["price_out"]),
        temperature=row.get("temperature"),
        stream_only=row["force_stream_mode"],
        extra_params=row["extra_params"],
    )


def _rows(own: Mapping[str, Any], array: str, needed: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The rows of an array with the field table's defaults; one without what it needs is none."""
    defaults = config_fields.item_defaults(f"{_MODEL}.{array}[]")
    rows = own.get(array)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and all(
            isinstance(row.get(name), str) and row[name] for name in needed
        ):
            yield defaults | {name: value for name, value in row.items() if value is not None}


def _table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = config.get(name)
    return table if isinstance(table, Mapping) else {}


def _keys(text: Any) -> tuple[str, ...]:
    parts = text.split(",") if isinstance(text, str) else []
    found = dict.fromkeys(stripped for part in parts if (stripped := part.strip()))
    return tuple(found)[:MAX_KEYS]


def _price(number: float) -> Decimal:
    # By way of the text: 0.1 is meant as it was written.
    return Decimal(str(number))
