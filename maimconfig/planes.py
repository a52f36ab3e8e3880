"""The one table: which blueprint is on which plane, and what the caller must show.

Nothing is mounted without a row, and no operation is reached without an entry: the public plane
can't become a way into the internal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

from flask import Blueprint

Plane = Literal["internal", "public"]

PLANES: tuple[Plane, ...] = ("internal", "public")


@dataclass(frozen=True)
class Access:
    """What a caller must show.

    Attributes:
        kind: `network` is nothing but being on the trusted network (and the internal token
            where one is set), `open` is nothing, `login` is an access token, `key` is an API key,
            which the view itself checks, for it may stand in the body, `session` is a chat
            session's token, its agent's key or a login, which the view checks too (a session may
            be begun by a guest, with nothing).
        permission: that the user's role must have.
    """

    kind: Literal["network", "open", "login", "key", "session"]
    permission: str | None = None


NETWORK = Access("network")
OPEN = Access("open")
LOGIN = Access("login")
KEY = Access("key")
SESSION = Access("session")


@dataclass(frozen=True)
class Mount:
    """A row of the table.

    Attributes:
        module: where the blueprint is, as `package.module:name`.
        access: by plane, for every operation that `operations` doesn't name.
        operations: by view, where it differs; the same on every plane.
    """

    module: str
    access: Mapping[Plane, Access]
    operations: Mapping[str, Access] = field(default_factory=dict)

    def blueprint(self) -> Blueprint:
        """The blueprint itself."""
        module, _, name = self.module.partition(":")
        found: Blueprint = getattr(import_module(module), name)
        return found

    def access_of(self, view: str, plane: Plane) -> Access:
        """What a caller of a view must show."""
        return self.operations.get(view, self.access[plane])


def _permission(name: str) -> Access:
    return Access("login", name)


_INTERNAL: Mapping[Plane, Access] = {"internal": NETWORK}
_OPEN: Mapping[Plane, Access] = {"internal": OPEN, "public": OPEN}
_LOGIN: Mapping[Plane, Access] = {"internal": LOGIN, "public": LOGIN}

# Staff answer, or look at numbers; to look at conversations alone takes less.
_ANSWER = _permission("message.send")
_NUMBERS = _permission("analytics.read")

MOUNTS: tuple[Mount, ...] = (
    Mount("maimconfig.health.routes:blp", _OPEN),
    Mount("maimconfig.metrics.routes:blp", _INTERNAL),
    Mount("maimconfig.tenants.routes:blp", _INTERNAL),
    Mount("maimconfig.agents.routes:blp", _INTERNAL),
    Mount("maimconfig.templates.routes:blp", _INTERNAL),
    Mount("maimconfig.api_keys.routes:blp", _INTERNAL),
    Mount("maimconfig.key_checks.routes:blp", _INTERNAL),
    Mount("maimconfig.activity.routes:blp", _INTERNAL),
    Mount("maimconfig.plugins.routes:blp", _INTERNAL),
    Mount("maimconfig.usage.routes:blp", _INTERNAL),
    Mount("maimconfig.usage.routes:log_blp", _INTERNAL),
    Mount("maimconfig.usage.routes:billing_blp", _INTERNAL),
    Mount("maimconfig.audit.routes:blp", _INTERNAL),
    Mount("maimconfig.system.routes:blp", _INTERNAL),
    Mount("maimconfig.chat.routes:blp", {"internal": NETWORK, "public": KEY}),
    Mount("maimconfig.chat.openai_routes:blp", {"internal": KEY, "public": KEY}),
    Mount("maimconfig.sessions.routes:blp", {"internal": SESSION, "public": SESSION}),
    Mount(
        "maimconfig.users.routes:blp",
        _LOGIN,
        {"register": OPEN, "log_in": OPEN, "refresh": OPEN},
    ),
    Mount("maimconfig.agents.user_routes:blp", _LOGIN),
    Mount("maimconfig.tenants.user_routes:blp", _LOGIN),
    Mount("maimconfig.plugins.user_routes:blp", {"public": LOGIN}),
    Mount("maimconfig.system.user_routes:blp", _LOGIN),
    Mount("maimconfig.widget.routes:blp", {"public": OPEN}),
    Mount("maimconfig.webhooks.routes:blp", _INTERNAL),
    Mount("maimconfig.webhooks.user_routes:blp", _LOGIN),
    Mount(
        "maimconfig.users.admin_routes:blp",
        _LOGIN,
        {
            "list_users": _permission("user.read"),
            "get_user": _permission("user.read"),
            "create_user": _permission("user.create"),
            "change_user": _permission("user.update"),
            "change_status": _permission("user.update"),
            "reset_password": _permission("user.update"),
            "delete_user": _permission("user.delete"),
            "get_dashboard": _permission("analytics.read"),
            "get_user_analytics": _permission("analytics.read"),
        },
    ),
    Mount(
        "maimconfig.conversations.admin_routes:blp",
        {"internal": _ANSWER, "public": _ANSWER},
        {
            "list_conversations": _permission("conversation.read"),
            "get_conversation": _permission("conversation.read"),
            "list_messages": _permission("message.read"),
        },
    ),
    Mount(
        "maimconfig.conversations.admin_routes:analytics_blp",
        {"internal": _NUMBERS, "public": _NUMBERS},
    ),
    Mount(
        "maimconfig.contacts.admin_routes:blp",
        {"internal": _ANSWER, "public": _ANSWER},
        {
            name + suffix: _permission(permission)
            for name, permission in {
                "list_contacts": "conversation.read",
                "get_contact": "conversation.read",
                "merge_contact": "conversation.manage",
            }.items()
            for suffix in ("", "_as_customer")
        },
    ),
)


def mounts_of(plane: Plane) -> tuple[Mount, ...]:
    """The rows of one plane."""
    return tuple(mount for mount in MOUNTS if plane in mount.access)
