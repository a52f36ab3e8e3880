"""Examples for the OpenAPI document, made from the schemas themselves."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

TENANT = "tenant_019ab2c4d5e67f8890a1b2c3d4e5f607"
AGENT = "agent_019ab2c4d5e67f8890a1b2c3d4e5f608"
API_KEY_ID = "key_019ab2c4d5e67f8890a1b2c3d4e5f609"
API_KEY = "mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ=="
MOMENT = "2026-11-23T08:00:00Z"
REQUEST_ID = "req_3f9c2a7be1d04c58"

# What a field of this name holds, where its type alone says too little.
_BY_NAME: dict[str, Any] = {
    "tenant_id": TENANT,
    "agent_id": AGENT,
    "api_key_id": API_KEY_ID,
    "template_id": "tmpl_builtinfriendly",
    "api_key": API_KEY,
    "tenant_name": "麦麦客服",
    "tenant_type": "enterprise",
    "status": "active",
    "permissions": ["chat"],
    "page": 1,
    "page_size": 20,
    "total": 1,
    "total_pages": 1,
    "has_next": False,
    "has_prev": False,
    "cost": "0.0123",
    "expires_at": "2027-01-01T00:00:00Z",
    "client_ip": "203.0.113.7",
    "request_id": REQUEST_ID,
}


def example_of(schema: Schema) -> Any:
    """An object, or a list of one, as the schema shows it."""
    found = {
        field.data_key or name: _value(name, field)
        for name, field in schema.fields.items()
        if not (field.load_only or name in schema.exclude)
    }
    return [found] if schema.many else found


def enveloped(data: Any) -> dict[str, Any]:
    """The success envelope around an example."""
    return {
        "success": True,
        "message": "操作成功",
        "data": data,
        "timestamp": MOMENT,
        "request_id": REQUEST_ID,
        "tenant_id": TENANT,
        "execution_time": 0.0012,
    }


def _value(name: str, field: fields.Field[Any]) -> Any:
    if "example" in field.metadata:
        return field.metadata["example"]
    if isinstance(field, fields.Nested):
        return example_of(field.schema)
    if name in _BY_NAME:
        return _BY_NAME[name]
    if isinstance(field, fields.List):
        return [_value("", field.inner)] if isinstance(field.inner, fields.Nested) else []
    return _plain(field)


def _plain(field: fields.Field[Any]) -> Any:
    if "enum" in field.metadata:
        return field.metadata["enum"][0]
    if isinstance(field.validate, OneOf):
        return next(iter(field.validate.choices))
    if field.allow_none and not isinstance(field, fields.String):
        return None
    for kind, value in _BY_TYPE:
        if isinstance(field, kind):
            return value
    return {} if field.metadata.get("type") == "object" else "text"


_BY_TYPE: tuple[tuple[type[fields.Field[Any]], Any], ...] = (
    (fields.Boolean, True),
    (fields.Integer, 1),
    (fields.Float, 1.0),
    (fields.Dict, {}),
)
