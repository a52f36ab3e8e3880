"""/api/v2/audit-logs"""

from __future__ import annotations

from typing import Any

from maimconfig.audit import schemas, service
from maimconfig.audit.models import AuditLog
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import note_tenant, session
from maimconfig.http.pagination import Page, page_of

blp = Blueprint(
    "audit-logs",
    __name__,
    style="envelope",
    url_prefix="/api/v2/audit-logs",
    description="Who changed what.",
)


@blp.get("")
@blp.arguments(schemas.AuditQuery, location="query")
@blp.response(200, page_of(schemas.AuditOut))
def list_changes(query: dict[str, Any]) -> Page[AuditLog]:
    """List changes, newest first

    An entry outlives the object that it tells of.
    """
    note_tenant(query.get("tenant_id"))
    return service.find(session(), **query)
