"""/api/v1/tenants: a user's own tenants"""

from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from tests.api import Api
from tests.factories import users

URL = "/api/v1/tenants/"


def names(who: users.Person) -> list[str]:
    """The names of somebody's tenants, as they are listed."""
    return [tenant["tenant_name"] for tenant in who.found(URL)]


def test_create(public: Api, api: Api) -> None:
    """A user makes a tenant, owns it, and the services on the trusted network see the same."""
    someone = users.person(public, username="alice")
    body = {
        "tenant_name": "麦麦客服",
        "tenant_type": "enterprise",
        "description": "客服",
        "contact_email": "a@example.com",
    }
    made = someone.made(URL, body)
    assert {name: made[name] for name in body} == body
    assert (made["owner_id"], made["status"]) == (someone.id, "active")
    assert api.data(api.get(f"/api/v2/tenants/{made['id']}")) == made
    assert names(someone) == ["alice's Personal Tenant", "麦麦客服"]


def test_the_least(public: Api) -> None:
    """A name is enough; the tenant is personal then."""
    made = users.person(public).made(URL, {"tenant_name": "mine"})
    assert made["tenant_type"] == "personal"


def test_nobody_elses(public: Api, api: Api) -> None:
    """Tenants of others and of nobody are not listed."""
    alice, bob = users.person(public, username="alice"), users.person(public)
    factories.tenant(api)
    factories.tenant(api, owner_id=alice.id, tenant_name="given")
    bob.made(URL, {"tenant_name": "bob's"})
    assert names(alice) == ["alice's Personal Tenant", "given"]


def test_name_taken(public: Api, api: Api) -> None:
    """A name that any tenant has is 409 TENANT_002."""
    factories.tenant(api, tenant_name="taken")
    public.error(users.person(public).post(URL, {"tenant_name": "taken"}), 409, "TENANT_002")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("tenant_name", "", "VALIDATION_ERROR"),
        ("tenant_name", "a\0", "VALIDATION_ERROR"),
        ("tenant_type", "team", "TENANT_004"),
        ("contact_email", "x", "VALIDATION_ERROR"),
        ("owner_id", "user_1", "VALIDATION_ERROR"),
        ("tenant_config", {"quotas": {"max_agents": None}}, "VALIDATION_ERROR"),
    ],
)
def test_wrong_fields(field: str, value: Any, code: str, public: Api) -> None:
    """A wrong field is 422; nobody makes tenants for others or sets the own quotas."""
    someone = users.person(public)
    public.error(someone.post(URL, {"tenant_name": "t", field: value}), 422, code)


def test_idempotent_by_user(public: Api) -> None:
    """The same Idempotency-Key of two users is two keys."""
    alice, bob = users.person(public), users.person(public)
    key = {"Idempotency-Key": "k"}
    first = alice.made(URL, {"tenant_name": "one"}, headers=key)
    assert alice.made(URL, {"tenant_name": "one"}, headers=key) == first
    public.error(bob.post(URL, {"tenant_name": "one"}, headers=key), 409, "TENANT_002")


def test_trailing_slash(public: Api) -> None:
    """The list answers with and without the trailing slash."""
    someone = users.person(public)
    assert someone.found("/api/v1/tenants") == someone.found(URL)


def test_audit(public: Api, api: Api) -> None:
    """The audit log keeps who made a tenant."""
    someone = users.person(public)
    made = someone.made(URL, {"tenant_name": "t"})
    (entry,) = factories.audit_entries(api, resource=made["id"])
    assert (entry["action"], entry["actor"]) == ("tenant.create", someone.id)
