"""Plugin settings on the wire."""

from __future__ import annotations

from marshmallow import Schema
from marshmallow import fields as plain

from maimconfig.http import fields
from maimconfig.http.schema import InputSchema


class PluginQuery(InputSchema):
    """?tenant_id=&agent_id="""

    tenant_id = fields.Id(required=True)
    agent_id = fields.Id(load_default=None)


class PluginRemoval(PluginQuery):
    """DELETE /plugins/settings"""

    plugin_name = fields.Name(required=True)


class PluginStore(InputSchema):
    """POST /plugins/settings"""

    plugin_name = fields.Name(required=True, metadata={"example": "order_query"})
    enabled = fields.Boolean(required=True)
    config = fields.Object(allow_none=True, metadata={"description": "null keeps the stored one."})


class PluginOut(Schema):
    """A plugin's setting."""

    plugin_name = plain.String(required=True)
    enabled = plain.Boolean(required=True)
    config = fields.Object(required=True)


class OwnPluginQuery(InputSchema):
    """?agent_id="""

    agent_id = fields.Id(required=True)


class OwnPluginRemoval(OwnPluginQuery):
    """DELETE /plugins/settings of one's own agent"""

    plugin_name = fields.Name(required=True)
