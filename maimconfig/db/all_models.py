"""Every table, for migrations and tests."""

from __future__ import annotations

from importlib import import_module

from maimconfig.db.base import Base

_MODULES = (
    "maimconfig.db.lifecycle",
    "maimconfig.http.idempotency",
    "maimconfig.rate_limits.models",
    "maimconfig.tenants.models",
    "maimconfig.templates.models",
    "maimconfig.agents.models",
    "maimconfig.api_keys.models",
    "maimconfig.key_checks.models",
    "maimconfig.activity.models",
    "maimconfig.plugins.models",
    "maimconfig.usage.models",
    "maimconfig.audit.models",
    "maimconfig.users.models",
    "maimconfig.chat.models",
    "maimconfig.webhooks.models",
    "maimconfig.db.leases",
    "maimconfig.contacts.models",
    "maimconfig.conversations.models",
    "maimconfig.sessions.models",
)

for _module in _MODULES:
    import_module(_module)

metadata = Base.metadata
