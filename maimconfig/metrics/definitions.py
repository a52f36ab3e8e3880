"""All metrics there are. docs/metrics.md is generated from this module.

No label holds the id of a user, a key or an agent, nor a name that a tenant chose; a tenant's id is
one where the operator asks for it (MAIMCONFIG_METRICS_TENANTS), up to a number.
"""

from __future__ import annotations

from typing import Final

from maimconfig.metrics.instruments import Counter, Gauge, Histogram

_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)
_PROVIDER = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)
_LOCK = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)

UNMATCHED: Final = "unmatched"
CUSTOM: Final = "custom"

HTTP_REQUESTS: Final = Histogram(
    "maimconfig_http_request_duration_seconds",
    "Time to the answer, of a stream to its beginning, in seconds. `route` is the path's template, "
    f"or `{UNMATCHED}`.",
    ("plane", "route", "method", "status"),
    bounds=_REQUEST,
)
KEY_CHECKS: Final = Counter(
    "maimconfig_key_checks",
    "API keys that were checked, by `valid` or the reason of the refusal.",
    ("result",),
)
PROVIDER_CALLS: Final = Histogram(
    "maimconfig_provider_call_duration_seconds",
    "Time of each request to an AI provider in seconds, by `ok`, `aborted` (the reader left) or "
    f"the kind of failure. `provider` is the operator's name for it; tenants' own are `{CUSTOM}`.",
    ("provider", "result"),
    bounds=_PROVIDER,
)
PROVIDER_TOKENS: Final = Counter(
    "maimconfig_provider_tokens",
    "Tokens of replies, told by the provider or estimated; `kind` is `prompt` or `completion`.",
    ("provider", "kind"),
)
REPLIES: Final = Gauge(
    "maimconfig_replies_under_way", "Replies that are being made, streamed or not.", ("plane",)
)
REPLY_PLACES: Final = Gauge(
    "maimconfig_reply_places", "The most replies that may be under way.", ("plane",)
)
REPLIES_UNSETTLED: Final = Gauge(
    "maimconfig_replies_unsettled", "Replies that ended and wait in memory for the database."
)
REPLIES_OWED: Final = Gauge(
    "maimconfig_replies_owed",
    "Messages in the database that still wait for their reply.",
    across="max",  # each process counts the same rows
)
QUEUED: Final = Gauge("maimconfig_requests_queued", "Requests that wait for a thread.", ("plane",))
THREADS_BUSY: Final = Gauge(
    "maimconfig_threads_busy", "Threads that work on a request.", ("plane",)
)
THREADS: Final = Gauge("maimconfig_threads", "Threads there are.", ("plane",))
CONNECTIONS: Final = Gauge(
    "maimconfig_connections", "Connections of clients that are open, idle ones too.", ("plane",)
)
POOL_IN_USE: Final = Gauge(
    "maimconfig_database_connections_in_use",
    "Connections to the database that are in use.",
    ("pool",),
)
POOL_SIZE: Final = Gauge(
    "maimconfig_database_connections_limit",
    "The most connections to the database that a pool holds.",
    ("pool",),
)
WRITE_WAIT: Final = Histogram(
    "maimconfig_write_wait_seconds",
    "Time that a unit of work waited for the process's turn to write, in seconds; SQLite only.",
    bounds=_LOCK,
)
FLUSH_AGE: Final = Gauge(
    "maimconfig_flush_age_seconds",
    "Seconds since the counts of key checks were last written, in the process where that is "
    "longest ago.",
    across="oldest",
)
TENANT_REQUESTS: Final = Counter(
    "maimconfig_tenant_requests",
    "Requests by tenant; only with MAIMCONFIG_METRICS_TENANTS, and `other` beyond that many.",
    ("tenant",),
)
LOG_LINES_LOST: Final = Counter(
    "maimconfig_log_lines_lost", "Lines that could not be written to the log file."
)
PROCESSES: Final = Gauge("maimconfig_processes", "Processes whose numbers these are.")
MEMORY: Final = Gauge(
    "maimconfig_resident_memory_bytes",
    "Memory of the processes in bytes; what they share is counted in each.",
)
BUILD: Final = Gauge(
    "maimconfig_build_info",
    "1, with the version, Python's version and the kind of database.",
    ("version", "python", "database"),
    across="max",
)
