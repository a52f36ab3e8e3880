"""/api/v2/auth: the hot path."""

from __future__ import annotations

from typing import Any

from maimconfig import permissions
from maimconfig.api_keys import format as key_format
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import client_address, current, note_tenant, runtime
from maimconfig.key_checks import schemas, service
from maimconfig.key_checks.refusals import REFUSED, good
from maimconfig.key_checks.service import Check
from maimconfig.key_checks.verdict import KeyRow

blp = Blueprint(
    "auth",
    __name__,
    style="envelope",
    url_prefix="/api/v2/auth",
    description="Whether a key is good, and what it may do.",
)


@blp.post("/parse-api-key", unit="none", errors=(errors.KeyFormatInvalid,))
@blp.arguments(schemas.KeyToParse)
@blp.response(200, schemas.ParsedKeyOut)
def parse_key(payload: dict[str, Any]) -> dict[str, Any]:
    """Take a key apart, asking no database"""
    parsed = key_format.parse(payload["api_key"])
    if parsed is None:
        raise errors.KeyFormatInvalid
    return {**parsed._asdict(), "format_valid": True}


@blp.post("/validate-api-key", unit="none", errors=(*REFUSED, errors.RateLimited))
@blp.arguments(schemas.KeyToValidate)
@blp.response(200, schemas.ValidKeyOut)
def validate_key(payload: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a key is good, and count the call

    A missing permission is no refusal: has_permission is false then.
    """
    found = service.check(
        runtime(),
        payload["api_key"],
        address=payload.get("client_ip") or client_address(),
        count=payload["check_rate_limit"] is not False,
    )
    row = _good(found)
    wanted = payload.get("required_permission")
    answer = {
        "valid": True,
        "tenant_id": row.tenant_id,
        "agent_id": row.agent_id,
        "api_key_id": row.id,
        "permissions": row.permissions,
        "has_permission": wanted is None or found.verdict.has(wanted),
        "status": "active",
    }
    if found.rate is not None:
        rate = found.rate
        answer["rate_limit"] = {
            "limit": rate.limit, "remaining": rate.remaining, "reset": rate.reset,
        }  # fmt: skip
    return answer


@blp.post("/check-permission", unit="none", errors=REFUSED)
@blp.arguments(schemas.PermissionToCheck)
@blp.response(200, schemas.PermissionOut)
def check_permission(payload: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a key has a permission, counting nothing"""
    found = service.check(runtime(), payload["api_key"], address=client_address(), count=False)
    row = _good(found)
    return {
        "has_permission": found.verdict.has(payload["permission"]),
        "permission": payload["permission"],
        "all_permissions": permissions.expand(row.permissions, row.permission_groups),
        "tenant_id": row.tenant_id,
        "agent_id": row.agent_id,
        "api_key_status": "active",
    }


def _good(found: Check) -> KeyRow:
    verdict, rate = found
    if verdict.row is not None:
        note_tenant(verdict.row.tenant_id)
    if rate is not None:
        current().headers.update(rate.headers)
    return good(found)
