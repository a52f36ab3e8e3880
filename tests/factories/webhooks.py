"""Webhooks that tests need, made through the API, and their deliveries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from maimconfig import clock
from maimconfig.runtime import Runtime
from maimconfig.webhooks.models import Delivery
from tests import factories
from tests.api import Api

# A name that leads to this machine, where nobody's deliveries may go: they fail, and none is sent.
NOWHERE = "http://localhost:9/hook"


def webhook(
    api: Api, url: str = NOWHERE, tenant_id: str | None = None, **given: Any
) -> dict[str, Any]:
    """A webhook, of a tenant of its own unless one is given."""
    owner = tenant_id or factories.tenant(api)["id"]
    return api.data(api.post("/api/v2/webhooks", {"tenant_id": owner, "url": url, **given}))


def log_of(api: Api, hook: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    """The deliveries of a webhook, newest first."""
    path = f"/api/v2/webhooks/{hook['id']}/deliveries"
    return api.data(api.get(path, query_string=query))["items"]


def hurry(runtime: Runtime, **values: Any) -> None:
    """Make all that waits due now, as if its back-off had ended.

    Args:
        values: of other columns, besides.
    """
    due = update(Delivery).where(Delivery.status == "pending")
    runtime.write(
        lambda session: session.execute(due.values(due_at=clock.now(), **values)) and None
    )
    runtime.webhooks.wake()
