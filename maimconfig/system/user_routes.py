"""/api/v1/system"""

from __future__ import annotations

from typing import Any

from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import login, runtime
from maimconfig.system import schemas

blp = Blueprint(
    "own-system",
    __name__,
    style="plain",
    url_prefix="/api/v1/system",
    description="What all agents share.",
)


# Who asks is looked up, though the answer needs no database.
LOGIN = (errors.DatabaseUnavailable,)


@blp.get("/models", unit="none", errors=LOGIN)
@blp.response(200, schemas.SystemModels)
def list_system_models() -> dict[str, Any]:
    """List the system's AI providers and models

    `base_url` is shown to administrators, and else masked: it may tell of the operator's network.
    """
    return runtime().catalogue.public(addresses=login().may("system.admin"))


@blp.get("/bot-defaults", unit="none", errors=LOGIN)
@blp.response(200, schemas.BotDefaults)
def get_system_bot_defaults() -> dict[str, Any]:
    """Get the lowest layer of every agent's configuration"""
    return runtime().bot_defaults
