"""The one query of a key check."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from maimconfig.agents.models import Agent
from maimconfig.api_keys.models import ApiKey, ApiKeySecret
from maimconfig.db.look_up import LookUp
from maimconfig.key_checks.verdict import KeyRow
from maimconfig.tenants.models import Tenant

KEY_BY_HASH = LookUp(
    select(
        ApiKey.id,
        ApiKey.tenant_id,
        ApiKey.agent_id,
        ApiKey.permissions,
        ApiKey.status,
        ApiKey.expires_at,
        ApiKey.rate_limit,
        ApiKey.allowed_ips,
        ApiKeySecret.retires_at,
        Tenant.permission_groups,
        Tenant.status.label("tenant_status"),
        Agent.status.label("agent_status"),
    )
    .select_from(ApiKeySecret)
    .join(ApiKey, ApiKey.id == ApiKeySecret.api_key_id)
    .join(Agent, Agent.id == ApiKey.agent_id)
    .join(Tenant, Tenant.id == ApiKey.tenant_id)
    .where(ApiKeySecret.secret_hash == bindparam("secret_hash")),
    KeyRow,
)
