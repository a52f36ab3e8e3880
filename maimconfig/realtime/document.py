"""docs/realtime.md, from the types of the frames: `python -m maimconfig.realtime.document`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

from maimconfig.realtime import frames

_HEAD = f"""\
# Realtime

Live conversations over WebSocket at `/ws` and `/ws/chat/{{session_id}}` of the realtime plane; `GET
/info` tells its address. A frame is one JSON object in a text frame of at most
{frames.LARGEST_FRAME} bytes: `type`, `data`, where the client wants one an `id` (text or a whole
number), and from the gateway a `timestamp`. The answer to a frame carries its `id`.

This page is generated: `python -m maimconfig.realtime.document > docs/realtime.md`.

## A conversation
1. Connect. The first frame is `connection`.
2. Log in within {frames.LOGIN_SECONDS} s: an `auth` frame, `?token=`, or an `Authorization: Bearer`
   header. Who may use a session: its own token, its agent's key, the login that made it, and staff
   with `conversation.read` in its tenant. The connection lasts as long as the token: log in again
   with a newer one before it ends.
3. `join_session` with `after_seq`, the last `seq` that the client has: `session_joined`, every
   message since then in order, then what comes, one's own messages too. `/ws/chat/{{session_id}}`
   joins that session at the login, after `?after_seq=`, and frames may leave `session_id` out.
4. Send `message` with a `client_id`. `message_sent` says that it is stored; it may come before or
   after the `message` itself. What wasn't answered is sent again under the same `client_id`.
5. When the connection is lost, connect again with back-off and go on at 2. A client that counts
   `seq` misses no message and gets none twice. Private notes have no `seq`: staff get those after
   `after_seq` again, and know them by `id`.

Typing, read receipts and parts of answers are told and not kept. Between processes Redis carries
the wake-ups where `MAIMCONFIG_REDIS_URL` is set; what is lost, or without Redis was stored by
another process, arrives within 2 s.

The gateway pings after {frames.HEARTBEAT_SECONDS} s without a byte from the client, and ends a
connection after {frames.SILENCE_SECONDS} s. A page may connect from the gateway's own host name, or
from an origin of `MAIMCONFIG_CORS_ORIGINS`. The limits are settings:
`MAIMCONFIG_REALTIME_MESSAGE_LENGTH`, `MAIMCONFIG_REALTIME_MESSAGES_PER_MINUTE` and
`MAIMCONFIG_REALTIME_CONNECTIONS_PER_ADDRESS`. A handshake that is refused is answered by 403
(origin), 404 (path), 429 (connections of the address) or 503.
"""

_MESSAGE = """
### message
A stored message of a session that was joined.

| field | |
|---|---|
"""


def page() -> str:
    """The page in Markdown."""
    return "\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    yield _HEAD
    yield "## From the client"
    for name, kind in frames.FROM_CLIENT.items():
        yield from _frame(name, kind, _sent_fields(kind))
    yield "\n## From the gateway"
    for name, kind in frames.FROM_SERVER.items():
        if name == "message_sent":
            yield _MESSAGE.rstrip()
            yield from (f"| `{field}` | {doc} |" for field, doc in frames.MESSAGE_DOCS.items())
        yield from _frame(name, kind, _told_fields(kind))
    yield "\n## Error codes\nBesides those of docs/api.md:\n\n| code | meaning |\n|---|---|"
    yield from (f"| `{code}` | {doc} |" for code, doc in frames.ERROR_DOCS.items())
    yield "\n## Close codes\n\n| code | meaning |\n|---|---|"
    yield from (f"| {code} | {doc} |" for code, doc in frames.CLOSE_DOCS.items())


def _frame(name: str, kind: type, rows: list[str]) -> Iterator[str]:
    yield f"\n### {name}\n{' '.join((kind.__doc__ or '').split())}"
    if rows:
        yield "\n| field | type | |\n|---|---|---|"
        yield from rows


def _sent_fields(kind: Any) -> list[str]:
    return [
        f"| `{row.name}`{_needed(row)} | {row.metadata['kind'].name} | {row.metadata['doc']} |"
        for row in dataclasses.fields(kind)
        if row.metadata
    ]


def _needed(row: dataclasses.Field[Any]) -> str:
    if row.default is dataclasses.MISSING:
        return " (required)"
    return "" if row.default is None else f" (default {str(row.default).lower()})"


def _told_fields(kind: Any) -> list[str]:
    return [
        f"| `{row.name}` | {_TYPES[str(row.type)]} | {row.metadata['doc']} |"
        for row in dataclasses.fields(kind)
    ]


_TYPES = {
    "str": "string",
    "str | None": "string or null",
    "int": "number",
    "int | None": "number or null",
    "bool": "boolean",
    "dict[str, Any]": "object",
}

if __name__ == "__main__":
    sys.stdout.write(page())
