"""/api/v1/usage/log, /api/v2/usage and /api/v2/tenants/{id}/billing"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from maimconfig.http.blueprint import Blueprint
from maimconfig.http.context import current, note_tenant, session
from maimconfig.http.errors import AgentNotFound, TenantNotFound
from maimconfig.tenants import service as tenants
from maimconfig.usage import billing, report, schemas, service
from maimconfig.usage.models import UsageRecord

log_blp = Blueprint(
    "usage-log",
    __name__,
    style="envelope",
    url_prefix="/api/v1/usage",
    description="What was done.",
)
blp = Blueprint(
    "usage",
    __name__,
    style="envelope",
    url_prefix="/api/v2/usage",
    description="What was done, in sums.",
)
billing_blp = Blueprint(
    "billing",
    __name__,
    style="envelope",
    url_prefix="/api/v2/tenants",
    description="What a month costs.",
)


@log_blp.post("/log", creates=True, errors=(TenantNotFound, AgentNotFound))
@log_blp.arguments(schemas.UsageLog)
@log_blp.response(200, schemas.UsageOut)
def log_usage(payload: dict[str, Any]) -> UsageRecord:
    """Store that something was done"""
    record = service.log(session(), **payload)
    note_tenant(record.tenant_id)
    return record


@blp.get("", errors=(TenantNotFound,))
@blp.arguments(schemas.UsageQuery, location="query")
@blp.response(200, schemas.UsageReport)
@blp.alt_response(200, schema={"type": "string"}, content_type="text/csv", success=True)
def report_usage(query: dict[str, Any]) -> Any:
    """Sums of a tenant's usage

    Groups are in the order of their names, days and hours in that of time; the totals are of all
    pages. `Accept: text/csv` gives the groups as CSV.
    """
    note_tenant(query["tenant_id"])
    tenants.get(session(), query["tenant_id"])
    current().varies.add("Accept")
    offered = ["application/json", "text/csv"]
    as_csv = request.accept_mimetypes.best_match(offered, offered[0]) == "text/csv"
    if query["page_size"] is None and not as_csv:
        query["page_size"] = schemas.PAGE_SIZE
    made = report.make(session(), **query)
    if as_csv:
        rows = made["items"] if "group_by" in query else [{"group": None, **made["totals"]}]
        return Response(report.as_csv(rows), mimetype="text/csv")
    return made


@billing_blp.get("/<id:tenant_id>/billing", errors=(TenantNotFound,))
@billing_blp.arguments(schemas.BillingQuery, location="query")
@billing_blp.response(200, schemas.Statement)
def get_statement(query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
    """A tenant's statement of a month

    It sums the usage records of the month (UTC) to the last digit. A model whose price changed
    has an item for each pair of prices; records whose cost was reported have none.
    """
    note_tenant(tenant_id)
    tenants.get(session(), tenant_id)
    return billing.statement(session(), tenant_id, **query)
