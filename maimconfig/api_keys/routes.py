"""/api/v2/api-keys"""

from __future__ import annotations

from typing import Any

from maimconfig import clock, permissions
from maimconfig.api_keys import schemas, service
from maimconfig.api_keys.models import ApiKey
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import current, note_tenant, session
from maimconfig.http.pagination import Page, page_of
from maimconfig.http.schema import changes_of

blp = Blueprint(
    "api-keys",
    __name__,
    style="envelope",
    url_prefix="/api/v2/api-keys",
    description="Keys by which others use an agent.",
)

UNKNOWN = (errors.KeyNotFound,)


def _noted(key: ApiKey) -> ApiKey:
    note_tenant(key.tenant_id)
    _not_stored()
    return key


def _not_stored() -> None:
    # Whoever keeps the answer keeps the key.
    current().headers["Cache-Control"] = "no-store"


def _etag(key: ApiKey) -> None:
    # The count moves without a revision: a reader that polls must see it, a change must not
    # be refused because of it.
    revision_etag(key.revision, key.usage_count, service.status_of(key))


@blp.post(
    "",
    creates=True,
    errors=(
        errors.TenantNotFound,
        errors.AgentNotFound,
        errors.KeyQuotaExceeded,
        errors.KeyNameTaken,
        errors.PermissionsInvalid,
    ),
)
@blp.arguments(schemas.KeyCreate)
@blp.response(200, schemas.NewKeyOut)
def create_key(payload: dict[str, Any]) -> ApiKey:
    """Create a key of an agent

    The answer shows the full key, whatever MAIMCONFIG_REVEAL_API_KEYS says.
    """
    note_tenant(payload["tenant_id"])
    permissions.check(payload.get("permissions"))
    _not_stored()
    return service.create(session(), **payload)


@blp.get("", errors=(errors.TenantNotFound,))
@blp.arguments(schemas.KeysQuery, location="query")
@blp.response(200, page_of(schemas.KeyOut))
def list_keys(query: dict[str, Any]) -> Page[ApiKey]:
    """List the keys of a tenant, newest first"""
    note_tenant(query["tenant_id"])
    _not_stored()
    return service.find(session(), **query)


@blp.get("/<id:api_key_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.KeyOut)
def get_key(api_key_id: str) -> ApiKey:
    """Get a key"""
    key = _noted(service.get(session(), api_key_id))
    _etag(key)
    return key


@blp.put(
    "/<id:api_key_id>",
    etag=True,
    errors=(*UNKNOWN, errors.KeyNameTaken, errors.PermissionsInvalid),
)
@blp.arguments(schemas.KeyChange)
@blp.response(200, schemas.KeyOut)
def change_key(payload: dict[str, Any], api_key_id: str) -> ApiKey:
    """Change a key

    A field that is null is emptied when it may be empty, and else left as it is. The next check
    of the key, in every process, follows.
    """
    changes = changes_of(payload, "description", "expires_at", "rate_limit")
    permissions.check(changes.get("permissions"))
    key = _noted(service.change(session(), api_key_id, changes, expected_revisions()))
    _etag(key)
    return key


@blp.post("/<id:api_key_id>/disable", errors=UNKNOWN)
@blp.response(200, schemas.KeyStatus)
def disable_key(api_key_id: str) -> ApiKey:
    """Disable a key"""
    return _noted(service.change(session(), api_key_id, {"status": "disabled"}, action="disable"))


@blp.post("/<id:api_key_id>/enable", errors=UNKNOWN)
@blp.response(200, schemas.KeyStatus)
def enable_key(api_key_id: str) -> ApiKey:
    """Enable a disabled key"""
    return _noted(service.change(session(), api_key_id, {"status": "active"}, action="enable"))


@blp.post("/<id:api_key_id>/rotate", creates=True, errors=(*UNKNOWN, errors.KeyDisabled))
@blp.arguments(schemas.Rotation)
@blp.response(200, schemas.NewKeyOut)
def rotate_key(payload: dict[str, Any], api_key_id: str) -> ApiKey:
    """Give a key a new secret under the same id"""
    grace_seconds = payload["grace_seconds"] or 0
    return _noted(service.rotate(session(), api_key_id, grace_seconds=grace_seconds))


@blp.delete("/<id:api_key_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.KeyDeleted)
def delete_key(api_key_id: str) -> dict[str, Any]:
    """Delete a key"""
    key = _noted(service.remove(session(), api_key_id, expected_revisions()))
    return {"id": key.id, "deleted_at": clock.now()}
