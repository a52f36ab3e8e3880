"""/, /health, /health/live, /health/ready and /info"""

from __future__ import annotations

import time
from typing import Any

from flask import request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from maimconfig import __version__
from maimconfig.db import lifecycle, migrations
from maimconfig.health import schemas
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import current, runtime

NAME = "MaimConfig"
DESCRIPTION = "多租户AI聊天机器人的控制平面 / Control plane of multi-tenant AI chatbots"
FEATURES = ["tenants", "agents", "agent-templates", "api-keys", "key-checks", "agent-activity",
            "plugin-settings", "usage", "audit-logs", "billing", "users", "chat",
            "chat-completions", "conversations", "realtime", "webhooks"]  # fmt: skip

blp = Blueprint("service", __name__, style="plain", description="The service itself.")


@blp.get("/", unit="none")
@blp.response(200, schemas.Root)
def get_root() -> dict[str, Any]:
    """What this is, and where things are"""
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "version": __version__,
        "plane": current().plane,
        "links": {
            "docs": "/docs",
            "redoc": "/redoc",
            "openapi": "/openapi.json",
            "health": "/health",
            "info": "/info",
        },
    }


@blp.get("/health", unit="none")
@blp.response(200, schemas.Health)
@blp.alt_response(503, schema=schemas.Health)
def get_health() -> tuple[dict[str, Any], int]:
    """Whether the service is well; 503 when the database doesn't answer"""
    well = runtime().database.answers()
    word = "healthy" if well else "unhealthy"
    return {
        "status": word,
        "timestamp": time.time(),
        "version": __version__,
        "services": {"database": word, "api": "healthy"},
    }, 200 if well else 503


@blp.get("/health/live", unit="none")
@blp.response(200, schemas.Status)
def get_live() -> dict[str, Any]:
    """Whether the process lives; asks nothing else"""
    return {"status": "alive"}


@blp.get("/health/ready", unit="none")
@blp.response(200, schemas.Status)
@blp.alt_response(503, schema=schemas.Status)
def get_ready() -> tuple[dict[str, Any], int]:
    """Whether this process may be given requests"""
    reason = _not_ready()
    if reason is None:
        return {"status": "ready"}, 200
    return {"status": "not ready", "reason": reason}, 503


@blp.get("/info", unit="none")
@blp.response(200, schemas.Info)
def get_info() -> dict[str, Any]:
    """What this service is and can do"""
    return {
        "name": NAME,
        "description": DESCRIPTION,
        "version": __version__,
        "architecture": "multi-tenant",
        "supported_features": FEATURES,
        "realtime": _realtime_url(),
    }


def _realtime_url() -> str | None:
    """Where the gateway is: as the settings say, or beside this plane."""
    settings = runtime().settings
    if settings.realtime_url is not None:
        return settings.realtime_url
    bind = settings.realtime_bind
    address = runtime().realtime_address or (str(bind) if bind else None)
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):  # of this machine, under whatever name the caller has for it
        host = request.host.rpartition(":")[0] or request.host
    return f"ws://{host}:{port}/ws"


def _not_ready() -> str | None:
    if runtime().draining:
        return "shutting down"
    database = runtime().database
    try:
        if not migrations.matches(database):
            return "the schema is not this version's: run `maimconfig db upgrade`"
        # At the start there may have been no database to compare the secret with.
        lifecycle.verify_secret(database, runtime().vault)
    except (DBAPIError, PoolTimeout):
        return "the database does not answer"
    except lifecycle.StartError:
        return "the database was set up with another master secret"
    return None
