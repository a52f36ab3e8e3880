"""/api/v1/tenants: a user's own tenants"""

from __future__ import annotations

from typing import Any

from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import login, note_tenant, session
from maimconfig.tenants import schemas, service
from maimconfig.tenants.models import Tenant

blp = Blueprint(
    "own-tenants",
    __name__,
    style="plain",
    url_prefix="/api/v1/tenants",
    description="The caller's own tenants.",
)


@blp.get("/")
@blp.response(200, schemas.TenantOut(many=True))
def list_own_tenants() -> list[Tenant]:
    """List the caller's tenants, the first one first"""
    return service.of_owner(session(), login().user_id)


@blp.post("/", creates=True, errors=(errors.TenantNameTaken, errors.TenantTypeUnsupported))
@blp.arguments(schemas.OwnTenantCreate)
@blp.response(200, schemas.TenantOut)
def create_own_tenant(payload: dict[str, Any]) -> Tenant:
    """Create a tenant that the caller owns"""
    tenant = service.create(session(), owner_id=login().user_id, **payload)
    note_tenant(tenant.id)
    return tenant
