"""What a key is worth, judged from one row: pure, without a database or a clock of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from maimconfig.permissions import allows


class Reason(Enum):
    """Why a key is refused, in the order in which it is asked (contract, Key checks)."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    DISABLED = "disabled"
    EXPIRED = "expired"
    TENANT_NOT_ACTIVE = "tenant not active"
    AGENT_NOT_ACTIVE = "agent not active"
    ADDRESS_NOT_ALLOWED = "address not allowed"
    PERMISSION_MISSING = "permission missing"
    OVER_RATE_LIMIT = "over rate limit"


class KeyRow(NamedTuple):
    """What the look-up finds of a key."""

    id: str
    tenant_id: str
    agent_id: str
    permissions: list[str]
    status: str
    expires_at: datetime | None
    rate_limit: dict[str, Any] | None
    allowed_ips: list[str]
    retires_at: datetime | None
    permission_groups: dict[str, list[str]]
    tenant_status: str
    agent_status: str


class Verdict(NamedTuple):
    """Whether a key is good.

    Attributes:
        row: what is known of the key; None when it is malformed or unknown.
        reason: why it is refused; None when it is good.
    """

    row: KeyRow | None
    reason: Reason | None

    def has(self, permission: str) -> bool:
        """Whether the key has a permission, by itself or through a group."""
        row = self.row
        return row is not None and allows(row.permissions, permission, row.permission_groups)


def judge(row: KeyRow | None, now: datetime, address: str | None) -> Verdict:
    """Judge a key, all but its rate limit.

    Args:
        row: what was found under the key's hash.
        now: the current time.
        address: of whoever uses the key; None when that doesn't matter.
    """
    if row is None or (row.retires_at is not None and row.retires_at <= now):
        return Verdict(None, Reason.UNKNOWN)
    return Verdict(row, _refusal(row, now, address))


def _refusal(row: KeyRow, now: datetime, address: str | None) -> Reason | None:
    if row.status != "active":
        return Reason.DISABLED
    if row.expires_at is not None and row.expires_at <= now:
        return Reason.EXPIRED
    if row.tenant_status != "active":
        return Reason.TENANT_NOT_ACTIVE
    if row.agent_status != "active":
        return Reason.AGENT_NOT_ACTIVE
    if row.allowed_ips and address is not None and not is_within(address, row.allowed_ips):
        return Reason.ADDRESS_NOT_ALLOWED
    return None


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is in one of the networks; an IPv4-mapped IPv6 address counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)
