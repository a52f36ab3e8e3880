"""What tests of providers ask for, with defaults that end soon."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from maimconfig.providers.types import Ask, Endpoint, Target
from tests.servers.faulty_provider import FaultyProvider

KEY = "sk-canary-0123456789"


def endpoint(where: FaultyProvider | str, **fields: Any) -> Endpoint:
    """An endpoint of the operator's; on loopback unless an address is given."""
    base_url = where if isinstance(where, str) else where.base_url
    values: dict[str, Any] = {
        "scope": "system",
        "name": "a",
        "api_keys": (KEY,),
        "trusted": True,
        "max_retry": 0,
        "timeout": 1,
        "retry_interval": 1,
    }
    return Endpoint(base_url=base_url, **{**values, **fields})


def target(where: FaultyProvider | str, **fields: Any) -> Target:
    """A model; `endpoint_fields` may say more of its endpoint."""
    more: Mapping[str, Any] = fields.pop("endpoint_fields", {})
    values: dict[str, Any] = {
        "name": "model",
        "identifier": "model-id",
        "endpoint": endpoint(where, **more),
        "price_in": Decimal(1),
        "price_out": Decimal(2),
    }
    return Target(**{**values, **fields})


def ask(stream: bool = False, **fields: Any) -> Ask:
    """A short conversation."""
    values: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "offline": lambda: "offline text",
        "max_tokens": 100,
        "temperature": 0.3,
        "params": {},
        "timeout": 20,
    }
    return Ask(stream=stream, **{**values, **fields})
