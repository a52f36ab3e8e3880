"""/api/v1/admin: users, permissions, analytics"""

from __future__ import annotations

import secrets
from typing import Any

from flask import Response

from maimconfig.http import errors
from maimconfig.http.blueprint import Blueprint
from maimconfig.http.conditional import expected_revisions, revision_etag
from maimconfig.http.context import actor, current, login, runtime, session
from maimconfig.http.parsing import load_body
from maimconfig.http.schema import changes_of
from maimconfig.security import passwords
from maimconfig.users import analytics, schemas, service
from maimconfig.users.models import User
from maimconfig.users.roles import PERMISSIONS, ROLES

blp = Blueprint(
    "admin",
    __name__,
    style="plain",
    url_prefix="/api/v1/admin",
    description="Users, roles and numbers, for those who administrate.",
)

ROLE = (errors.RoleForbidden,)
UNKNOWN = (*ROLE, errors.UserNotFound)


@blp.get("/users", errors=ROLE)
@blp.arguments(schemas.UsersQuery, location="query")
@blp.response(200, schemas.ManagedUserOut(many=True))
def list_users(query: dict[str, Any]) -> Any:
    """List users, newest first; `X-Total-Count` says how many there are"""
    found = service.find(session(), **query)
    current().headers["X-Total-Count"] = str(found.total)
    return found.items


def _hash_of_new_user() -> str:
    return passwords.hash_password(load_body(schemas.UserCreate())["password"])


@blp.post(
    "/users",
    creates=True,
    first=_hash_of_new_user,
    errors=(*ROLE, errors.UserTaken, errors.TenantNotFound, errors.Busy),
)
@blp.arguments(schemas.UserCreate)
@blp.response(200, schemas.ManagedUserOut)
def create_user(payload: dict[str, Any]) -> User:
    """Create a user, with a personal tenant"""
    del payload["password"]
    return service.create(session(), password_hash=current().prepared, **payload)


@blp.get("/users/<id:user_id>", etag=True, errors=UNKNOWN)
@blp.response(200, schemas.ManagedUserOut)
def get_user(user_id: str) -> User:
    """Get a user"""
    user = service.get(session(), user_id)
    revision_etag(user.revision)
    return user


@blp.put(
    "/users/<id:user_id>",
    etag=True,
    errors=(*UNKNOWN, errors.UserTaken, errors.LastAdmin, errors.TenantNotFound),
)
@blp.arguments(schemas.UserChange)
@blp.response(200, schemas.ManagedUserOut)
def change_user(payload: dict[str, Any], user_id: str) -> User:
    """Change a user; a change of role or status holds from its next request"""
    is_active = payload.pop("is_active", None)
    if is_active is not None:
        payload["status"] = "active" if is_active else "suspended"
    changes = changes_of(payload, "email", "full_name", "tenant_ids")
    user = service.change(session(), user_id, changes, expected_revisions())
    revision_etag(user.revision)
    return user


@blp.delete("/users/<id:user_id>", etag=True, errors=(*UNKNOWN, errors.LastAdmin))
@blp.response(204)
def delete_user(user_id: str) -> Response:
    """Delete a user and its sessions; its tenants stay"""
    service.remove(session(), user_id, expected_revisions())
    return Response(status=204)


@blp.post("/users/<id:user_id>/status", errors=(*UNKNOWN, errors.LastAdmin))
@blp.arguments(schemas.StatusChange)
@blp.response(200, schemas.ManagedUserOut)
def change_status(payload: dict[str, Any], user_id: str) -> User:
    """Suspend a user, or take it back"""
    return service.change(session(), user_id, payload)


@blp.post(
    "/users/<id:user_id>/reset-password",
    unit="none",
    errors=(*UNKNOWN, errors.Busy, errors.DatabaseUnavailable),
)
@blp.arguments(schemas.ResetPassword)
@blp.response(200, schemas.PasswordOut)
def reset_password(payload: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Set another password, shown once; all sessions of the user end"""
    password = payload.get("new_password") or secrets.token_urlsafe(12)
    runtime().read(lambda unit: service.get(unit, user_id))
    password_hash = passwords.hash_password(password)
    runtime().write(lambda unit: service.set_password(unit, user_id, password_hash), actor())
    current().headers["Cache-Control"] = "no-store"
    return {"id": user_id, "password": password}


@blp.get("/permissions", unit="none", errors=(errors.DatabaseUnavailable,))
@blp.response(200, schemas.RolePermissions)
def list_permissions() -> dict[str, Any]:
    """List the permissions, and which role has them"""
    return {
        "permissions": list(PERMISSIONS),
        "roles": {role: list(held) for role, held in ROLES.items()},
    }


@blp.get("/analytics/dashboard", errors=ROLE)
@blp.response(200, schemas.Dashboard)
def get_dashboard() -> dict[str, Any]:
    """The service in numbers"""
    return analytics.dashboard(session(), login())


@blp.get("/analytics/users", errors=ROLE)
@blp.response(200, schemas.UserAnalytics)
def get_user_analytics() -> dict[str, Any]:
    """Users in numbers"""
    return analytics.users(session())
