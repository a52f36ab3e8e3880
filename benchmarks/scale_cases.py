"""Every GET operation of both planes as calls, derived from their OpenAPI documents.

An operation or a parameter of which nothing is said here ends the measurement with its name, so
that none is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from benchmarks.scale_data import Rows

# What answers without the database, or tells of the process alone.
WITHOUT_ROWS = frozenset(
    ("/", "/health", "/health/live", "/health/ready", "/info", "/api/v2/system/models",
     "/api/v2/system/bot-defaults", "/api/v2/system/providers", "/api/v1/system/models",
     "/api/v1/system/bot-defaults", "/api/v1/admin/permissions")
)  # fmt: skip
PAGED = ("page", "offset", "skip")
SIZED = ("page_size", "limit")
TENANT_NEEDED = ("/api/v2/agents", "/api/v2/api-keys", "/api/v2/agent-activity",
                 "/api/v1/plugins/settings", "/api/v2/usage", "/api/v2/chat-agents",
                 "/api/v2/webhooks", "/api/v2/chat/history")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A call, the same on each database but for the ids.

    Attributes:
        name: as the table shows it.
        where: `first`, `middle` or `last` page.
        paged_by: the parameter that chooses the page; None of what has no pages.
    """

    name: str
    plane: str
    path: str
    query: Mapping[str, Any]
    where: str = "first"
    paged_by: str | None = None
    accept: str = "application/json"

    def url(self, place: int | None = None) -> str:
        query = dict(self.query)
        if place is not None and self.paged_by is not None:
            query[self.paged_by] = place
        return self.path + ("?" + urlencode(query) if query else "")


class Unknown(Exception):
    """An operation or a parameter that this module knows nothing of."""


class Subjects:
    """What is asked for: the things that have half of all."""

    def __init__(self, rows: Rows) -> None:
        self.tenant = rows.tenant_id(0)
        self.in_path = {
            "tenant_id": self.tenant, "agent_id": rows.agent_id(0), "version": 1,
            "template_id": rows.id("tmpl", 0, rows.sizes.tenants), "api_key_id": rows.key_id(0),
            "session_id": rows.session_id(0), "webhook_id": rows.webhook_id(0),
            "user_id": rows.user_id(0), "conversation_id": rows.conversation_id(0),
            "contact_id": rows.contact_id(0), "model": rows.agent_id(0),
        }  # fmt: skip
        month_ago = (rows.now - timedelta(days=31)).isoformat()
        tenant = [self.tenant]
        self.filters: dict[str, list[Any]] = {
            "tenant_id": tenant, "status": ["active"], "tenant_type": ["personal"],
            "owner_id": [rows.user_id(0)], "q": ["9"], "tag": ["tag1"], "explain": [1],
            "category": ["fun"], "agent_id": [rows.agent_id(0)],
            "resource": ["agent", "conversation", rows.agent_id(0)],
            "actor": ["internal", rows.user_id(0)], "month": [month_ago[:7]],
            "group_by": ["day", "hour", "agent", "api_key", "user", "model", "action"],
            "from": [month_ago], "to": [(rows.now - timedelta(days=100)).isoformat()],
            "role": ["supervisor"], "event": ["agent.offline"], "agent_type": ["human"],
            "priority": ["urgent"], "assignee_id": [rows.user_id(0), "none"],
            "contact_id": [rows.contact_id(0)], "is_guest": ["true", "false"],
            "before": [20], "after": [10],
        }  # fmt: skip
        self.special: dict[tuple[str, str], list[Any]] = {
            ("/api/v1/admin/conversations", "status"): ["open", "closed"],
            ("/api/v1/admin/conversations", "q"): ["99", "no such person"],
            ("/api/v1/webhooks/{webhook_id}/deliveries", "status"): ["failed", "pending"],
            ("/api/v2/webhooks/{webhook_id}/deliveries", "status"): ["failed", "pending"],
            ("/api/v2/api-keys", "status"): ["active", "disabled", "expired"],
            ("/api/v2/tenants", "status"): ["active", "inactive"],
        }
        self.always = {
            "/api/v1/plugins/settings": {"agent_id": rows.agent_id(0)},
            "/api/v2/chat/history": {"agent_id": rows.agent_id(0), "chat_identifier": "chat 0"},
            "/api/v2/agents/{agent_id}/config/versions/{version}/diff": {"to": 2},
        }

    def of(self, path: str, name: str) -> list[Any]:
        """Values of a parameter."""
        found = self.special.get((path, name), self.filters.get(name))
        if found is None:
            raise Unknown(f"nothing is said of the parameter {name} of GET {path}")
        return found


# A stream is named by one of these; the case of the first stands for all.
NAMES_OF_STREAM = ("chat_identifier", "conversation_id", "group_id", "user_id", "platform")
CSV = "text/csv"


def cases(plane: str, document: Mapping[str, Any], subjects: Subjects) -> Iterator[Case]:
    """All calls of a plane's GET operations: first, middle and last page, each filter, each
    group."""
    for path, operations in document["paths"].items():
        if "get" not in operations or path in WITHOUT_ROWS:
            continue
        yield from _of_operation(plane, path, _parameters(operations), subjects)


def _parameters(operations: Mapping[str, Any]) -> list[str]:
    given = operations.get("parameters", []) + operations["get"].get("parameters", [])
    return [parameter["name"] for parameter in given if parameter.get("in") == "query"]


def _of_operation(
    plane: str, path: str, parameters: list[str], subjects: Subjects
) -> Iterator[Case]:
    try:
        called = path.format_map(subjects.in_path)
    except KeyError as error:
        raise Unknown(f"nothing is said of {error} in GET {path}") from error
    always = dict(subjects.always.get(path, {}))
    if "tenant_id" in parameters and path in TENANT_NEEDED:
        always["tenant_id"] = subjects.tenant
    paged_by = next((name for name in PAGED if name in parameters), None)

    def made(what: str, query: Mapping[str, Any], pages: tuple[str, ...], **rest: Any) -> Any:
        for where in pages if paged_by else ("first",):
            text = f"{path} {what}".strip() + (f" ({where} page)" if where != "first" else "")
            yield Case(text, plane, called, {**always, **query}, where, paged_by, **rest)

    yield from made("", {}, ("first", "middle", "last"))
    for name in parameters:
        if name in always or name in PAGED + SIZED + NAMES_OF_STREAM:
            continue
        for value in subjects.of(path, name):
            yield from made(_told(name, value), {name: value}, ("first", "last"))
    yield from _together(path, parameters, subjects, made)


def _told(name: str, value: Any) -> str:
    return f"{name}={str(value)[:12]}"


def _together(path: str, parameters: list[str], subjects: Subjects, made: Any) -> Iterator[Case]:
    """Parameters that are used together, and the other form of an answer."""
    tenant = {"tenant_id": subjects.tenant}
    if path == "/api/v2/audit-logs":
        for name in ("resource", "actor", "from"):
            for value in subjects.of(path, name):
                yield from made(f"tenant_id, {_told(name, value)}", {**tenant, name: value},
                                ("first", "last"))  # fmt: skip
    if path == "/api/v1/admin/conversations":
        for name in ("status", "q", "agent_type"):
            for value in subjects.of(path, name):
                yield from made(f"tenant_id, {_told(name, value)}", {**tenant, name: value},
                                ("first", "last"))  # fmt: skip
    if path == "/api/v2/usage":
        for group in subjects.of(path, "group_by"):
            month = {"from": subjects.of(path, "from")[0], "group_by": group}
            yield from made(f"a month, group_by={group}", month, ("first",))
        yield from made("as CSV, group_by=day", {"group_by": "day"}, ("first",), accept=CSV)
