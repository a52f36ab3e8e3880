"""Users on the wire."""

from __future__ import annotations

import unicodedata
from typing import Any

from marshmallow import Schema, ValidationError, validates_schema
from marshmallow import fields as plain

from maimconfig import clock
from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema, Shaped
from maimconfig.security.passwords import MAX_LENGTH, MIN_LENGTH
from maimconfig.users.models import USER_STATUSES
from maimconfig.users.roles import ROLES
from maimconfig.users.sessions import LivingSession

MAX_USERNAME = 64


SERVED = "The tenants whose conversations the user sees, as staff; null are all."
MAX_SERVED = 1000


def _tenant_ids() -> fields.Texts:
    return fields.Texts(
        items=MAX_SERVED, text=fields.Id(), allow_none=True, metadata={"description": SERVED}
    )


class Username(fields.Name):
    """A name of at most 64 characters, so that the personal tenant's name fits."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        name = unicodedata.normalize("NFKC", super()._deserialize(value, attr, data, **kwargs))
        if not 1 <= len(name.strip()) <= MAX_USERNAME:
            raise ValidationError(fields.LENGTH.format(min=1, max=MAX_USERNAME))
        return name.strip()


def new_password() -> fields.String:
    """A password to be, 8..128 characters, kept to the letter."""
    return fields.String(
        required=True,
        validate=fields.length(MIN_LENGTH, MAX_LENGTH),
        metadata={"format": "password", "example": "correct horse battery"},
    )


def given_password() -> fields.String:
    """A password to be proven; a wrong length is just a wrong password."""
    return fields.String(
        required=True,
        validate=fields.length(0, 1000),
        metadata={"format": "password", "example": "correct horse battery"},
    )


class Register(InputSchema):
    """POST /auth/register"""

    username = Username(required=True, metadata={"example": "xiaoming"})
    password = new_password()
    email = fields.Email(allow_none=True)
    full_name = fields.Name(allow_none=True)


class LogIn(InputSchema):
    """POST /auth/login; username or email."""

    username = fields.String(validate=fields.length(1, 254), metadata={"example": "xiaoming"})
    email = fields.String(validate=fields.length(1, 254))
    password = given_password()
    # What OAuth2 clients send with a password grant (RFC 6749, section 4.3.2).
    grant_type = fields.String(allow_none=True, validate=fields.one_of("password", ""))
    scope = fields.String(allow_none=True)
    client_id = fields.String(allow_none=True)
    client_secret = fields.String(allow_none=True)

    @validates_schema
    def _named(self, data: dict[str, Any], **_: Any) -> None:
        if not (data.get("username") or data.get("email")):
            raise ValidationError(fields.REQUIRED, "username")


class RefreshIn(InputSchema):
    """POST /auth/refresh"""

    refresh_token = fields.String(required=True, validate=fields.length(1, 500))


class ChangePassword(InputSchema):
    """POST /auth/change-password"""

    old_password = given_password()
    new_password = new_password()


class UserOut(Schema):
    """A user."""

    id = plain.String(required=True, metadata={"example": "user_019ab2c4d5e67f88"})
    username = plain.String(required=True)
    email = plain.String(required=True, allow_none=True)
    full_name = plain.String(required=True, allow_none=True)
    role = plain.String(required=True, metadata={"example": "user"})
    is_active = plain.Boolean(required=True)
    created_at = fields.Moment(required=True)


class ManagedUserOut(UserOut):
    """A user as administrators see it."""

    status = plain.String(required=True)
    tenant_ids = plain.List(
        plain.String(), required=True, allow_none=True, metadata={"description": SERVED}
    )
    last_login_at = fields.Moment(required=True, allow_none=True)
    updated_at = fields.Moment(required=True)


class TokensOut(Schema):
    """What a login or a refresh gives."""

    access_token = plain.String(required=True, metadata={"example": "eyJhbGciOi…"})
    token_type = plain.String(required=True, metadata={"example": "bearer"})
    expires_in = plain.Integer(required=True, metadata={"description": "In seconds."})
    refresh_token = plain.String(required=True, metadata={"example": "mmr_login_019a…"})
    user = plain.Nested(UserOut, required=True)
    permissions = plain.List(plain.String(), required=True)


class MeOut(UserOut):
    """Who is asking."""

    permissions = plain.List(plain.String(), required=True)


class SessionOut(Shaped):
    """A login session."""

    id = plain.String(required=True)
    created_at = fields.Moment(required=True)
    last_used_at = fields.Moment(required=True)
    expires_at = fields.Moment(required=True)
    address = plain.String(required=True, allow_none=True)
    user_agent = plain.String(required=True, allow_none=True)
    current = plain.Boolean(required=True)

    def shape(self, found: LivingSession) -> dict[str, Any]:
        """A living session as its user sees it."""
        return {
            "id": found.id,
            "created_at": clock.wire(found.created_at),
            "last_used_at": clock.wire(found.rotated_at),
            "expires_at": clock.wire(found.expires_at),
            "address": found.address,
            "user_agent": found.user_agent,
            "current": found.is_asking,
        }


class UsersQuery(PageQuery):
    """GET /admin/users"""

    role = fields.String(validate=fields.one_of(*ROLES))
    status = fields.String(validate=fields.one_of(*USER_STATUSES))
    q = fields.String(
        validate=fields.length(0, 100),
        metadata={"description": "A part of the username or the email."},
    )


class UserCreate(Register):
    """POST /admin/users"""

    role = fields.String(load_default="user", validate=fields.one_of(*ROLES))
    tenant_ids = _tenant_ids()


class UserChange(InputSchema):
    """PUT /admin/users/{id}"""

    email = fields.Email(allow_none=True)
    full_name = fields.Name(allow_none=True)
    role = fields.String(allow_none=True, validate=fields.one_of(*ROLES))
    status = fields.String(allow_none=True, validate=fields.one_of(*USER_STATUSES))
    is_active = fields.Boolean(allow_none=True)
    tenant_ids = _tenant_ids()


class StatusChange(InputSchema):
    """POST /admin/users/{id}/status"""

    status = fields.String(required=True, validate=fields.one_of(*USER_STATUSES))


class ResetPassword(InputSchema):
    """POST /admin/users/{id}/reset-password; one is made when none is given."""

    new_password = fields.String(
        allow_none=True,
        validate=fields.length(MIN_LENGTH, MAX_LENGTH),
        metadata={"format": "password"},
    )


class PasswordOut(Schema):
    """The password that was set, shown once."""

    id = plain.String(required=True)
    password = plain.String(required=True)


class RolePermissions(Schema):
    """Which permissions there are, and which role has them."""

    permissions = plain.List(plain.String(), required=True)
    roles = plain.Dict(keys=plain.String(), values=plain.List(plain.String()), required=True)


class Dashboard(Schema):
    """The service in numbers; today and this month are UTC."""

    users = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    tenants = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    agents = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    api_keys = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    conversations = plain.Dict(
        required=True, metadata={"description": "As /admin/analytics/conversations shows them."}
    )
    usage_today = plain.Dict(required=True)
    usage_this_month = plain.Dict(required=True)


class UserAnalytics(Schema):
    """Users in numbers."""

    total = plain.Integer(required=True)
    by_role = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    by_status = plain.Dict(keys=plain.String(), values=plain.Integer(), required=True)
    active_sessions = plain.Integer(required=True)
    logged_in_today = plain.Integer(required=True)
    registrations = plain.List(
        plain.Dict(), required=True, metadata={"description": "By day, of the last 30 days."}
    )
