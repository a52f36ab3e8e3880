"""/api/v2/tenants"""

from __future__ import annotations

from tests import factories
from tests.api import Api


def test_create_and_get(api: Api) -> None:
    """A tenant that was created can be read back as it was answered."""
    made = factories.tenant(api, tenant_name="麦麦", tenant_config={"a": [1, None, 1.5]})
    assert api.data(api.get(f"/api/v2/tenants/{made['id']}")) == made
    assert made["id"] == made["tenant_id"]


def test_unknown(api: Api) -> None:
    """An unknown tenant is 404 TENANT_001."""
    api.error(api.get("/api/v2/tenants/tenant_nope"), 404, "TENANT_001")


def test_name_taken(api: Api) -> None:
    """A second tenant of the same name is 409 TENANT_002."""
    factories.tenant(api, tenant_name="one")
    again = api.post("/api/v2/tenants", {"tenant_name": "one", "tenant_type": "personal"})
    api.error(again, 409, "TENANT_002")
