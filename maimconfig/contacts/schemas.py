"""Contacts on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.pagination import PageQuery
from maimconfig.http.schema import InputSchema

CONTACT = "contact_019ab2c4d5e67f8890a1b2c3d4e5f613"


class ContactChange(InputSchema):
    """PUT /admin/contacts/{id}"""

    name = fields.Name(allow_none=True)
    email = fields.Email(allow_none=True)
    phone = fields.Trimmed(low=1, high=50, allow_none=True)
    avatar_url = fields.Trimmed(low=1, high=1000, allow_none=True)
    custom_attributes = fields.Object(
        allow_none=True, metadata={"description": "In place of all that is there."}
    )


class ContactCreate(ContactChange):
    """POST /admin/contacts"""

    tenant_id = fields.Id(required=True)
    external_id = fields.Trimmed(
        low=1,
        high=100,
        allow_none=True,
        metadata={"description": "Your own id of it: `user_id` of its sessions."},
    )


class ContactsQuery(PageQuery):
    """GET /admin/contacts"""

    tenant_id = fields.Id()
    is_guest = fields.QueryFlag()
    q = fields.String(
        validate=fields.length(0, 100),
        metadata={"description": "A part of the name, email, phone or external id."},
    )


class ContactMerge(InputSchema):
    """POST /admin/contacts/{id}/merge"""

    contact_id = fields.Id(
        required=True, metadata={"description": "The one that is merged into this one."}
    )


class ContactOut(Schema):
    """A contact."""

    id = plain.String(required=True, metadata={"example": CONTACT})
    contact_id = plain.String(required=True, attribute="id", dump_only=True)
    tenant_id = plain.String(required=True)
    external_id = plain.String(required=True, metadata={"example": "visitor-1"})
    is_guest = plain.Boolean(
        required=True, metadata={"description": "Nobody vouches for its external id."}
    )
    name = plain.String(required=True, allow_none=True)
    email = plain.String(required=True, allow_none=True)
    phone = plain.String(required=True, allow_none=True)
    avatar_url = plain.String(required=True, allow_none=True)
    custom_attributes = fields.Object(required=True)
    merged_into = plain.String(required=True, allow_none=True)
    last_seen_at = fields.Moment(required=True, allow_none=True)
    created_at = fields.Moment(required=True)
    updated_at = fields.Moment(required=True)
