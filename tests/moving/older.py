"""A database in the layout of the older services."""

from __future__ import annotations

import base64
import json
from typing import Any

import bcrypt
from sqlalchemy import create_engine, text

PASSWORD = "correct horse battery"
LAYOUT = {
    "users": "id VARCHAR(50) PRIMARY KEY, username VARCHAR(100), email VARCHAR(200), "
    "hashed_password VARCHAR(200), is_active BOOLEAN, role VARCHAR(20), created_at DATETIME",
    "tenants": "id VARCHAR(50) PRIMARY KEY, tenant_name VARCHAR(100), tenant_type VARCHAR(20), "
    "description TEXT, contact_email VARCHAR(200), tenant_config TEXT, status VARCHAR(20), "
    "owner_id VARCHAR(50), created_at DATETIME, updated_at DATETIME",
    "agents": "id VARCHAR(50) PRIMARY KEY, tenant_id VARCHAR(50), name VARCHAR(100), "
    "description TEXT, template_id VARCHAR(50), config TEXT, status VARCHAR(20), "
    "created_at DATETIME",
    "agent_configs": "id INTEGER PRIMARY KEY, agent_id VARCHAR(50), persona TEXT, "
    "bot_overrides TEXT, config_overrides TEXT",
    "api_keys": "id VARCHAR(50) PRIMARY KEY, tenant_id VARCHAR(50), agent_id VARCHAR(50), "
    "name VARCHAR(100), api_key VARCHAR(300), permissions TEXT, status VARCHAR(20), "
    "expires_at DATETIME, last_used_at DATETIME, usage_count INTEGER, created_at DATETIME",
    "agent_active_states": "id INTEGER PRIMARY KEY, tenant_id VARCHAR(50), agent_id VARCHAR(50), "
    "last_seen_at DATETIME, ttl_seconds INTEGER, expires_at DATETIME",
    "plugin_settings": "id INTEGER PRIMARY KEY, tenant_id VARCHAR(50), agent_id VARCHAR(50), "
    "plugin_name VARCHAR(100), enabled BOOLEAN, config TEXT",
}
MOMENT = "2024-05-06 07:08:09"


def api_key(tenant: str, agent: str, version: str = "v1") -> str:
    """A key as the older service made them."""
    parts = f"tenant_{tenant}_agent_{agent}_{'ab12' * 8}_{version}"
    return "mmc_" + base64.b64encode(parts.encode()).decode()


def hashed(password: str) -> str:
    """A bcrypt hash, of a cost that tests can wait for."""
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()


def fill(url: str) -> None:
    """Make the tables, with rows that are right, and some that nobody can use."""
    engine = create_engine(url)
    ending = " CHARACTER SET utf8mb4" if engine.dialect.name == "mysql" else ""
    with engine.begin() as connection:
        for table, columns in LAYOUT.items():
            connection.execute(text(f"CREATE TABLE {table} ({columns}){ending}"))
        for table, rows in ROWS.items():
            for row in rows:
                names = ", ".join(f":{name}" for name in row)
                insert = text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({names})")
                connection.execute(insert, row)
    engine.dispose()


def _rows(common: dict[str, Any], *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**common, **row} for row in rows]


_PROVIDER = {"name": "own", "base_url": "https://own.example.com/v1", "api_key": "sk-legacy"}

ROWS: dict[str, list[dict[str, Any]]] = {
    "users": _rows(
        {"is_active": True, "role": "user", "created_at": MOMENT},
        {"id": "user_a", "username": "anna", "email": "anna@example.com",
         "hashed_password": hashed(PASSWORD)},
        {"id": "user_b", "username": "bert", "email": "bert@example.com", "is_active": False,
         "hashed_password": hashed(PASSWORD)},
        {"id": "user_c", "username": "ANNA", "email": "c@example.com",
         "hashed_password": hashed(PASSWORD)},
        {"id": "user_d", "username": "dora", "email": None, "hashed_password": "in plain text"},
    ),
    "tenants": _rows(
        {"status": "active", "created_at": MOMENT, "updated_at": MOMENT, "tenant_config": "{}"},
        {"id": "tenant_one", "tenant_name": "一号", "tenant_type": "ENTERPRISE",
         "owner_id": "user_a", "tenant_config": json.dumps({"quotas": {"max_agents": "many"}})},
        {"id": "tenant_two", "tenant_name": "一号", "tenant_type": "personal",
         "owner_id": None, "status": "suspended"},
    ),
    "agents": _rows(
        {"tenant_id": "tenant_one", "status": "active", "created_at": MOMENT},
        {"id": "agent_one", "name": "小麦", "template_id": "tmpl_gone", "config": json.dumps({
            "persona": {"personality": "耐心", "state_probability": 7},
            "config_overrides": {"model": {"api_providers": [_PROVIDER, {"name": "broken"}]}},
            "tags": ["售后"]})},
        {"id": "agent_two", "name": "小麦", "config": None},
        {"id": "agent_lost", "tenant_id": "tenant_gone", "name": "lost", "config": None},
        {"id": "agent_bad", "name": "bad", "config": "{"},
    ),
    "agent_configs": [
        {"id": 1, "agent_id": "agent_two", "persona": "一个温柔的人",
         "bot_overrides": json.dumps({"nickname": "麦"}), "config_overrides": None},
    ],
    "api_keys": _rows(
        {"tenant_id": "tenant_one", "agent_id": "agent_one", "status": "active",
         "permissions": json.dumps(["chat", "Not One"]), "created_at": MOMENT,
         "usage_count": 7},
        {"id": "key_one", "name": "web", "api_key": api_key("one", "one")},
        {"id": "key_two", "name": "web", "api_key": api_key("one", "one", "v2"),
         "status": "disabled"},
        {"id": "key_same", "name": "same", "api_key": api_key("one", "one")},
        {"id": "key_odd", "name": "odd", "api_key": "secret"},
    ),
    "agent_active_states": [
        {"id": 1, "tenant_id": "tenant_one", "agent_id": "agent_one", "last_seen_at": MOMENT,
         "ttl_seconds": 60, "expires_at": "2034-05-06 07:08:09"},
    ],
    "plugin_settings": [
        {"id": 1, "tenant_id": "tenant_one", "agent_id": None, "plugin_name": "order",
         "enabled": True, "config": json.dumps({"a": 1.0})},
        {"id": 2, "tenant_id": "tenant_one", "agent_id": "agent_one", "plugin_name": "order",
         "enabled": False, "config": None},
    ],
}  # fmt: skip
