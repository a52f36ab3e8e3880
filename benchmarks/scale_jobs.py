"""What writes, and what runs beside the requests, on the large database.

Calls that write are asked of both databases in turn, as the lists are. Of the jobs it is measured
for how long each of their units holds SQLite's one writer, and what a backup takes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.scale_data import Rows
from maimconfig import retention
from maimconfig.background import Background
from maimconfig.runtime import Runtime
from maimconfig.sessions.expiry import expire_due
from maimconfig.settings import load_settings

KEPT_DAYS = 300  # of 365: a sixth of all is deleted


def writes(rows: Rows) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Calls that write, by name: method, path and body; of the tenant that has half of all."""
    named = {"tenant_id": rows.tenant_id(0), "agent_id": rows.agent_id(0)}
    said = {"message": "Hello", "chat_identifier": "chat 0"}
    return {
        "validate a key": ("POST", "/api/v2/auth/validate-api-key", {"api_key": rows.secret(0)}),
        "log usage": ("POST", "/api/v1/usage/log", {**named, "action": "chat"}),
        "heart-beat": ("PUT", "/api/v2/agent-activity", {**named, "ttl_seconds": 300}),
        "chat in a long stream": ("POST", "/api/v2/chat", {**named, **said}),
        "answer in a long conversation": (
            "POST",
            f"/api/v1/admin/conversations/{rows.conversation_id(0)}/messages",
            {"content": "Hello", "is_private": True},
        ),
    }


def jobs(env: Mapping[str, str]) -> None:
    """Run the jobs once and print how long they took; the rows of a sixth of the year are gone
    then."""
    settings = load_settings({**env})
    kept = ("usage_retention_days", "chat_retention_days", "audit_retention_days",
            "webhook_retention_days")  # fmt: skip
    runtime = Runtime.open(replace(settings, **dict.fromkeys(kept, KEPT_DAYS)))
    try:
        _timed("expire sessions", lambda: expire_due(runtime))
        _timed("flush of key checks", Background(runtime).flush)
        _pruned(runtime)
    finally:
        runtime.close()


def backup(env: Mapping[str, str], folder: Path) -> None:
    """Make a backup by the command line, and print what it took."""
    command = [sys.executable, "-m", "maimconfig", "backup", str(folder / "scale.backup")]
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**env}, stdout=subprocess.DEVNULL)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = (folder / "scale.backup").stat().st_size / 1e6
    print(f"backup: {time.perf_counter() - began:.0f} s, {size:.0f} MB, peak RSS {peak:.0f} MB")


def _pruned(runtime: Runtime) -> None:
    """Retention, with the longest of its units, each of which holds the writer."""
    held, rows, began = 0.0, 0, time.perf_counter()
    last = began
    for number in retention.batches(runtime, at_most=400):
        now = time.perf_counter()
        held, last, rows = max(held, now - last), now, rows + number
    print(f"retention: {rows} rows in {last - began:.0f} s, longest unit {held * 1000:.0f} ms")


def _timed(name: str, call: Any) -> None:
    began = time.perf_counter()
    call()
    print(f"{name}: {(time.perf_counter() - began) * 1000:.0f} ms", flush=True)
