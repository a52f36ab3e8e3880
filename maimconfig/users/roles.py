"""Roles and what they may do: pure tables (contract, Users)."""

from __future__ import annotations

PERMISSIONS = (
    "user.read",
    "user.create",
    "user.update",
    "user.delete",
    "conversation.read",
    "conversation.manage",
    "message.read",
    "message.send",
    "analytics.read",
    "system.admin",
)

_ANSWERS = ("conversation.read", "message.read", "message.send")

# The higher role first: admin > supervisor > agent (a human who answers customers) > user
# (owns tenants) > guest.
ROLES: dict[str, tuple[str, ...]] = {
    "admin": PERMISSIONS,
    "supervisor": ("user.read", *_ANSWERS, "conversation.manage", "analytics.read"),
    "agent": _ANSWERS,
    "user": (),
    "guest": (),
}


def permissions_of(role: str) -> tuple[str, ...]:
    """The permissions of a role; an unknown one has none."""
    return ROLES.get(role, ())


def may(role: str, permission: str) -> bool:
    """Whether a role has a permission."""
    return permission in permissions_of(role)
