"""The control plane against a bare Flask route on the same waitress, in turn, as ratios.

    python -m benchmarks.control_plane [--url DATABASE_URL] [--seconds 5] [--runs 3]

Needs wrk (Debian package wrk). Prints a Markdown table for benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert, make_url, update

from benchmarks.processes import Load, Served, wrk
from maimconfig import clock
from maimconfig.agents.models import Agent
from maimconfig.db.ids import new_id
from maimconfig.db.session import Database
from maimconfig.settings import load_settings
from maimconfig.tenants.models import Tenant

CONNECTIONS = (1, 16, 64)
AGENTS = 100_000
Measured = dict[tuple[str, int], Load]


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = _environment(folder, options.url)
        bare = _repeat(options, lambda: _measure_bare(folder, options.seconds))
        service, idle, loaded = {}, 0.0, 0.0
        with _service(folder, env) as served:
            idle = served.rss_mb()
            cases = _prepare(served.urls["internal"], folder, env)
            service = _repeat(options, lambda: _measure(cases, options.seconds))
            loaded = served.rss_mb()
        with _service(folder, env, "--workers", "2") as served:
            validate = _validate_case(served.urls["internal"], folder, cases)
            two = _repeat(options, lambda: _measure({"two workers": validate}, options.seconds))
    _print(bare, service | two, idle, loaded)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="database to measure on; a fresh SQLite file if absent")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _environment(folder: Path, url: str | None) -> dict[str, str]:
    return {
        "MAIMCONFIG_INSTANCE": str(folder / "instance"),
        "MAIMCONFIG_INTERNAL_BIND": "127.0.0.1:0",
        "MAIMCONFIG_PUBLIC_BIND": "",
        "MAIMCONFIG_REALTIME_BIND": "",
        "MAIMCONFIG_LOG_FILE": str(folder / "service.log"),
        **({"DATABASE_URL": url} if url else {}),
    }


@contextmanager
def _service(folder: Path, env: dict[str, str], *arguments: str) -> Iterator[Served]:
    command = ["-m", "maimconfig", "serve", "--auto-migrate", *arguments]
    with Served(command, ["internal"], env, folder / "errors.log") as served:
        yield served


def _measure_bare(folder: Path, seconds: int) -> Measured:
    script = _post(folder, "bare", {"api_key": "mmc_" + "x" * 150})
    with Served(["-m", "benchmarks.bare"], ["bare"], {}, folder / "errors.log") as served:
        return _measure({"bare": (served.urls["bare"] + "/bare", script)}, seconds)


Cases = dict[str, tuple[str, Path | None]]


def _measure(cases: Cases, seconds: int) -> Measured:
    return {
        (name, connections): wrk(url, connections=connections, seconds=seconds, script=script)
        for name, (url, script) in cases.items()
        for connections in CONNECTIONS
    }


def _prepare(base: str, folder: Path, env: dict[str, str]) -> Cases:
    tenant = _call(base, "/api/v2/tenants", {"tenant_name": "bench", "tenant_type": "enterprise"})
    sample = {"persona": {"personality": "耐心细致"}, "bot_overrides": {"nickname": "小麦"}}
    owner = {"tenant_id": tenant["id"]}
    agent = _call(base, "/api/v2/agents", {**owner, "name": "first", "config": sample})
    body = {**owner, "agent_id": agent["id"], "name": "key", "permissions": ["chat"]}
    key = _call(base, "/api/v2/api-keys", body)
    (folder / "key").write_text(key["api_key"])
    _fill(env, tenant["id"])
    pages = f"{base}/api/v2/agents?tenant_id={tenant['id']}&page_size=20&page="
    return {
        "validate": (base + "/api/v2/auth/validate-api-key", _validate_script(folder)),
        "get agent": (f"{base}/api/v2/agents/{agent['id']}", None),
        "page 1 of agents": (pages + "1", None),
        "page 1000 of agents": (pages + "1000", None),
    }


def _validate_case(base: str, folder: Path, cases: Cases) -> tuple[str, Path | None]:
    return base + "/api/v2/auth/validate-api-key", cases["validate"][1]


def _validate_script(folder: Path) -> Path:
    return _post(folder, "validate", {"api_key": (folder / "key").read_text()})


def _post(folder: Path, name: str, body: Any) -> Path:
    script = folder / f"{name}.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = {json.dumps(json.dumps(body))}\n"
    )
    return script


def _call(base: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(
        base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["data"]


def _fill(env: dict[str, str], tenant_id: str, agents: int = AGENTS) -> None:
    """Give the tenant that many agents, past the API; it has one already."""
    settings = load_settings(env)
    database = Database(make_url(settings.database_url), pool_size=1, synchronous="NORMAL")
    rows = [_agent(tenant_id, number) for number in range(1, agents)]
    with database.writer.begin() as connection:
        for start in range(0, len(rows), 1000):
            connection.execute(insert(Agent), rows[start : start + 1000])
        connection.execute(update(Tenant).where(Tenant.id == tenant_id).values(agent_count=agents))
    database.dispose()


def _agent(tenant_id: str, number: int) -> dict[str, Any]:
    name = f"agent {number}"
    return {
        "id": new_id("agent"),
        "tenant_id": tenant_id,
        "name": name,
        "folded_name": name,
        "config": {"persona": {"personality": "耐心细致"}},
        "tags": [],
        "status": "active",
        "config_version": 1,
        "revision": 1,
        "created_at": clock.now(),
        "updated_at": clock.now(),
    }


def _repeat(options: argparse.Namespace, measure: Callable[[], Measured]) -> Measured:
    runs = [measure() for _ in range(options.runs)]
    return {
        case: Load(
            rate=statistics.median(run[case].rate for run in runs),
            p99=statistics.median(run[case].p99 for run in runs),
            failed=sum(run[case].failed for run in runs),
        )
        for case in runs[0]
    }


def _print(bare: Measured, service: Measured, idle: float, loaded: float) -> None:
    print("| case | connections | requests/s | p99 ms | failed | of the bare route |")
    print("|---|---|---|---|---|---|")
    for (name, connections), load in (bare | service).items():
        ratio = load.rate / bare["bare", connections].rate
        print(
            f"| {name} | {connections} | {load.rate:.0f} | {load.p99:.1f} "
            f"| {load.failed} | {ratio:.2f} |"
        )
    print(f"\nRSS: {idle:.0f} MB idle, {loaded:.0f} MB after the load.")


if __name__ == "__main__":
    main()
