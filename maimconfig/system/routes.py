"""/api/v2/system"""

from __future__ import annotations

from typing import Any

from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import runtime
from maimconfig.system import schemas

blp = Blueprint(
    "system",
    __name__,
    style="envelope",
    url_prefix="/api/v2/system",
    description="What all agents share.",
)


@blp.get("/models", unit="none")
@blp.response(200, schemas.SystemModels)
def list_models() -> dict[str, Any]:
    """List the system's AI providers and models; keys never leave"""
    return runtime().catalogue.public()


@blp.get("/bot-defaults", unit="none")
@blp.response(200, schemas.BotDefaults)
def get_bot_defaults() -> dict[str, Any]:
    """Get the lowest layer of every agent's configuration"""
    return runtime().bot_defaults


@blp.get("/providers", unit="none")
@blp.response(200, schemas.ProviderStates)
def list_provider_states() -> dict[str, Any]:
    """List the providers that this process asked lately, and which of them it leaves out"""
    return {"providers": runtime().providers.endpoints()}
