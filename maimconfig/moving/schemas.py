"""What a file of tenants holds: the API's own fields, with what belongs to an object within it."""

from __future__ import annotations

from marshmallow import fields as plain
from marshmallow import validate

from maimconfig.agents.models import AGENT_STATUSES
from maimconfig.agents.schemas import AgentCreate
from maimconfig.api_keys.schemas import KeyCreate
from maimconfig.http import fields
from maimconfig.http.schema import InputSchema
from maimconfig.i18n import Text
from maimconfig.permissions import MAX_NAMED
from maimconfig.plugins.schemas import PluginStore
from maimconfig.templates.schemas import TemplateCreate
from maimconfig.tenants.models import TENANT_STATUSES, TENANT_TYPES
from maimconfig.tenants.schemas import TenantCreate

VERSION = 1
OTHER_VERSION = Text(
    f"必须是{VERSION}；其他版本的文件需要更新的MaimConfig",
    f"Must be {VERSION}; a newer version of MaimConfig reads others",
)


class KeyEntry(KeyCreate):
    """A key of an agent; without `api_key` a new one gets a fresh secret."""

    class Meta(InputSchema.Meta):
        exclude = ("tenant_id", "agent_id")

    id = fields.Id()
    status = fields.String(validate=fields.one_of("active", "disabled"))
    expires_at = fields.Moment(allow_none=True)  # a file may tell of keys that have expired
    api_key = fields.String(validate=fields.length(1, 512))


class AgentEntry(AgentCreate):
    """An agent of a tenant; `template` names one of the tenant's, or one for all."""

    class Meta(InputSchema.Meta):
        exclude = ("tenant_id", "template_id")

    id = fields.Id()
    status = fields.String(validate=fields.one_of(*AGENT_STATUSES))
    template = fields.Name(allow_none=True)
    plugins = plain.List(plain.Nested(PluginStore))
    api_keys = plain.List(plain.Nested(KeyEntry))


class TemplateEntry(TemplateCreate):
    """A template of the tenant that it stands in, or for all."""

    class Meta(InputSchema.Meta):
        exclude = ("tenant_id",)

    id = fields.Id()


class TenantEntry(TenantCreate):
    """A tenant with what belongs to it."""

    id = fields.Id()
    tenant_type = fields.String(required=True, validate=fields.one_of(*TENANT_TYPES))
    status = fields.String(validate=fields.one_of(*TENANT_STATUSES))
    permission_groups = fields.TextLists(items=100, each=MAX_NAMED)
    templates = plain.List(plain.Nested(TemplateEntry))
    plugins = plain.List(plain.Nested(PluginStore))
    agents = plain.List(plain.Nested(AgentEntry))


class Document(InputSchema):
    """The whole file."""

    maimconfig = fields.Integer(
        required=True, validate=validate.Equal(VERSION, error=OTHER_VERSION)
    )
    templates = plain.List(plain.Nested(TemplateEntry), load_default=list)
    tenants = plain.List(plain.Nested(TenantEntry), load_default=list)
