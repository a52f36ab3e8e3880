"""/api/v2/tenants"""

from __future__ import annotations

from typing import Any

from maimconfig import clock, permissions
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import note_tenant, session
from maimconfig.http.errors import (
    PermissionsInvalid,
    TenantNameTaken,
    TenantNotFound,
    TenantTypeUnsupported,
)
from maimconfig.http.pagination import Page, page_of
from maimconfig.http.schema import changes_of
from maimconfig.tenants import schemas, service, stats
from maimconfig.tenants.models import Tenant

blp = Blueprint(
    "tenants",
    __name__,
    style="envelope",
    url_prefix="/api/v2/tenants",
    description="The owners of agents and keys.",
)


@blp.post("", creates=True, errors=(TenantNameTaken, TenantTypeUnsupported))
@blp.arguments(schemas.TenantCreate)
@blp.response(200, schemas.TenantOut)
def create_tenant(payload: dict[str, Any]) -> Tenant:
    """Create a tenant"""
    tenant = service.create(session(), **payload)
    note_tenant(tenant.id)
    return tenant


@blp.get("")
@blp.arguments(schemas.TenantsQuery, location="query")
@blp.response(200, page_of(schemas.TenantOut))
def list_tenants(query: dict[str, Any]) -> Page[Tenant]:
    """List tenants, newest first"""
    return service.find(session(), **query)


@blp.get("/<id:tenant_id>", etag=True, errors=(TenantNotFound,))
@blp.response(200, schemas.TenantOut)
def get_tenant(tenant_id: str) -> Tenant:
    """Get a tenant"""
    note_tenant(tenant_id)
    tenant = service.get(session(), tenant_id)
    revision_etag(tenant.revision)
    return tenant


@blp.put("/<id:tenant_id>", etag=True, errors=(TenantNotFound, TenantNameTaken))
@blp.arguments(schemas.TenantChange)
@blp.response(200, schemas.TenantOut)
def change_tenant(payload: dict[str, Any], tenant_id: str) -> Tenant:
    """Change a tenant

    A field that is null is emptied when it may be empty, and else left as it is.
    """
    note_tenant(tenant_id)
    changes = changes_of(payload, "description", "contact_email")
    tenant = service.change(session(), tenant_id, changes, expected_revisions())
    revision_etag(tenant.revision)
    return tenant


@blp.delete("/<id:tenant_id>", etag=True, errors=(TenantNotFound,))
@blp.response(200, schemas.TenantDeleted)
def delete_tenant(tenant_id: str) -> dict[str, Any]:
    """Delete a tenant with everything of it, in one transaction"""
    note_tenant(tenant_id)
    deleted = service.remove(session(), tenant_id, expected_revisions())
    return {
        "id": tenant_id,
        "tenant_id": tenant_id,
        "deleted_at": clock.now(),
        "deleted": deleted,
    }


@blp.get("/<id:tenant_id>/stats", errors=(TenantNotFound,))
@blp.response(200, schemas.TenantStats)
def get_stats(tenant_id: str) -> dict[str, Any]:
    """A tenant in numbers"""
    note_tenant(tenant_id)
    return stats.of(session(), service.get(session(), tenant_id))


@blp.get("/<id:tenant_id>/permission-groups", etag=True, errors=(TenantNotFound,))
@blp.response(200, schemas.PermissionGroups)
def get_permission_groups(tenant_id: str) -> dict[str, Any]:
    """Get the names that stand for several permissions"""
    note_tenant(tenant_id)
    tenant = service.get(session(), tenant_id)
    revision_etag(tenant.revision)
    return {"groups": tenant.permission_groups}


@blp.put(
    "/<id:tenant_id>/permission-groups",
    etag=True,
    errors=(TenantNotFound, PermissionsInvalid),
)
@blp.arguments(schemas.PermissionGroupsChange)
@blp.response(200, schemas.PermissionGroups)
def set_permission_groups(payload: dict[str, Any], tenant_id: str) -> dict[str, Any]:
    """Set the names that stand for several permissions

    All of them are replaced. A change takes effect on the next check of every key.
    """
    note_tenant(tenant_id)
    groups = payload.get("groups")
    permissions.check_groups(groups or {}, "groups")
    changes = {} if groups is None else {"permission_groups": groups}
    tenant = service.change(session(), tenant_id, changes, expected_revisions())
    revision_etag(tenant.revision)
    return {"groups": tenant.permission_groups}
