"""Which error of the tree a refused key is."""

from __future__ import annotations

from maimconfig.http import errors
from maimconfig.key_checks.service import Check
from maimconfig.key_checks.verdict import KeyRow, Reason

REFUSALS: dict[Reason, type[errors.AppError]] = {
    Reason.MALFORMED: errors.KeyFormatInvalid,
    Reason.UNKNOWN: errors.KeyUnknown,
    Reason.DISABLED: errors.KeyDisabledRefused,
    Reason.EXPIRED: errors.KeyExpired,
    Reason.TENANT_NOT_ACTIVE: errors.TenantNotActive,
    Reason.AGENT_NOT_ACTIVE: errors.AgentNotActive,
    Reason.ADDRESS_NOT_ALLOWED: errors.AddressNotAllowed,
}
REFUSED = (*REFUSALS.values(), errors.DatabaseUnavailable)


def good(found: Check) -> KeyRow:
    """What is known of a key that is good.

    Raises:
        AppError: why it isn't; one of `REFUSALS`, KeyForbidden or RateLimited.
    """
    verdict, rate = found
    if verdict.reason is Reason.OVER_RATE_LIMIT and rate is not None:
        raise errors.RateLimited(retry_after=rate.reset, headers=rate.headers)
    if verdict.reason is Reason.PERMISSION_MISSING:
        raise errors.KeyForbidden
    if verdict.reason is not None or verdict.row is None:
        raise REFUSALS[verdict.reason or Reason.UNKNOWN]
    return verdict.row
