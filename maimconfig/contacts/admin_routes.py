"""/api/v1/admin/contacts, and the same as /api/v1/admin/customers"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import wraps
from typing import Any

from maimconfig.contacts import directory, schemas
from maimconfig.contacts.models import Contact
from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import current, login, note_tenant, session
from maimconfig.http.schema import changes_of

blp = Blueprint(
    "contacts",
    __name__,
    style="plain",
    url_prefix="/api/v1/admin",
    description="The people whom agents talk with. /customers is the same as /contacts.",
)

ROLE = (errors.RoleForbidden,)
UNKNOWN = (*ROLE, errors.ContactNotFound)


def _both(method: str, rule: str, **options: Any) -> Callable[[Any], Any]:
    """Mount a view under both names."""

    def mount(view: Any) -> Any:
        @wraps(view)
        def alias(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        # Each is documented by itself, in place.
        alias.__dict__["_apidoc"] = deepcopy(view.__dict__.get("_apidoc", {}))
        alias.__name__ = f"{view.__name__}_as_customer"
        route = getattr(blp, method)
        route(f"/customers{rule}", **options)(alias)
        return route(f"/contacts{rule}", **options)(view)

    return mount


def _noted(contact: Contact) -> Contact:
    note_tenant(contact.tenant_id)
    revision_etag(contact.revision)
    return contact


@_both("get", "", errors=ROLE)
@blp.arguments(schemas.ContactsQuery, location="query")
@blp.response(200, schemas.ContactOut(many=True))
def list_contacts(query: dict[str, Any]) -> Sequence[Contact]:
    """List contacts, newest first; `X-Total-Count` says how many there are"""
    found = directory.find(session(), login(), **query)
    current().headers["X-Total-Count"] = str(found.total)
    return found.items


@_both("post", "", creates=True, errors=(*ROLE, errors.TenantNotFound, errors.ContactTaken))
@blp.arguments(schemas.ContactCreate)
@blp.response(200, schemas.ContactOut)
def create_contact(payload: dict[str, Any]) -> Contact:
    """Create a contact"""
    return _noted(directory.create(session(), login(), **payload))


@_both("get", "/<id:contact_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.ContactOut)
def get_contact(contact_id: str) -> Contact:
    """Get a contact"""
    return _noted(directory.get(session(), login(), contact_id))


@_both("put", "/<id:contact_id>", etag=True, errors=UNKNOWN)
@blp.arguments(schemas.ContactChange)
@blp.response(200, schemas.ContactOut)
def change_contact(payload: dict[str, Any], contact_id: str) -> Contact:
    """Change a contact; null empties a field"""
    changes = changes_of(payload, "name", "email", "phone", "avatar_url")
    return _noted(directory.change(session(), login(), contact_id, changes, expected_revisions()))


@_both("post", "/<id:contact_id>/merge", errors=UNKNOWN)
@blp.arguments(schemas.ContactMerge)
@blp.response(200, schemas.ContactOut)
def merge_contact(payload: dict[str, Any], contact_id: str) -> Contact:
    """Merge another contact into this one, with its conversations and sessions

    This one's own details stay; what it lacks is filled.
    """
    return _noted(directory.merge(session(), login(), contact_id, payload["contact_id"]))
