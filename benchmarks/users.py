"""Calls with an access token against the bare route, and key checks while people log in.

    python -m benchmarks.users [--url DATABASE_URL] [--seconds 5] [--runs 3]

Needs wrk (Debian package wrk). Prints Markdown tables for benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.processes import Load, Served, wrk

CONNECTIONS = (1, 16, 64)
LOGINS_AT_ONCE = 8
USERNAME, PASSWORD = "bench-owner", "correct horse battery"
Case = tuple[str, Path]


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare, agents, checks = [], [], []
        command = ["-m", "maimconfig", "serve", "--auto-migrate"]
        env = _environment(folder, options.url)
        with Served(command, ["internal", "public"], env, folder / "errors.log") as served:
            own, key = _prepare(served.urls, folder)
        # In turn, so that what else the machine does falls on both.
        for _ in range(options.runs):
            with Served(["-m", "benchmarks.bare"], ["bare"], {}, folder / "errors.log") as served:
                bare.append(_loads(_bare(served.urls["bare"], folder), options.seconds))
            with Served(command, ["internal", "public"], env, folder / "errors.log") as served:
                agents.append(_loads((served.urls["public"] + own[0], own[1]), options.seconds))
                check = (served.urls["internal"] + key[0], key[1])
                checks.append(_beside_logins(check, served.urls["public"], options.seconds))
    _print(_medians(bare), _medians(agents), checks)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="empty database to measure on; a fresh SQLite file if absent")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _environment(folder: Path, url: str | None) -> dict[str, str]:
    return {
        "MAIMCONFIG_INSTANCE": str(folder / "instance"),
        "MAIMCONFIG_INTERNAL_BIND": "127.0.0.1:0",
        "MAIMCONFIG_PUBLIC_BIND": "127.0.0.1:0",
        "MAIMCONFIG_REALTIME_BIND": "",
        "MAIMCONFIG_LOG_FILE": str(folder / "service.log"),
        "MAIMCONFIG_LOGIN_ATTEMPTS_PER_MINUTE": "1000000",
        # Longer than any measurement, for the token is got before.
        "MAIMCONFIG_ACCESS_TOKEN_MINUTES": "1440",
        **({"DATABASE_URL": url} if url else {}),
    }


def _prepare(urls: dict[str, str], folder: Path) -> tuple[Case, Case]:
    """A user with an agent and a key; the paths and scripts of its calls."""
    base = urls["public"] + "/api/v1"
    user = {"username": USERNAME, "password": PASSWORD}
    _call(f"{base}/auth/register", user)
    token = _call(f"{base}/auth/login", user)["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    agent = _call(f"{base}/agents/", {"name": "bench"}, headers)
    made = _call(f"{base}/agents/{agent['id']}/api_keys", {"name": "bench"}, headers)
    script = folder / "agents.lua"
    script.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
    check = _post(folder, "validate", {"api_key": made["api_key"]})
    return ("/api/v1/agents/", script), ("/api/v2/auth/validate-api-key", check)


def _bare(url: str, folder: Path) -> Case:
    return url + "/bare", _post(folder, "bare", {"api_key": "mmc_" + "x" * 150})


def _post(folder: Path, name: str, body: Any) -> Path:
    script = folder / f"{name}.lua"
    script.write_text(
        'wrk.method = "POST"\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = {json.dumps(json.dumps(body))}\n"
    )
    return script


def _call(url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **(headers or {})}
    with urllib.request.urlopen(urllib.request.Request(url, sent, given)) as response:
        return json.load(response)


def _loads(case: Case, seconds: int) -> dict[int, Load]:
    return {
        connections: wrk(case[0], connections=connections, seconds=seconds, script=case[1])
        for connections in CONNECTIONS
    }


def _beside_logins(check: Case, public: str, seconds: int) -> tuple[Load, Load, int]:
    """Key checks alone and while people log in, and how many logins there were."""
    alone = wrk(check[0], connections=16, seconds=seconds, script=check[1])
    with _logging_in(public) as done:
        beside = wrk(check[0], connections=16, seconds=seconds, script=check[1])
        logins = len(done)
    return alone, beside, logins


@contextmanager
def _logging_in(public: str) -> Iterator[list[int]]:
    """Eight people who log in all the time; the list grows with each login."""
    over = threading.Event()
    done: list[int] = []
    failures: list[Exception] = []

    def log_in() -> None:
        try:
            while not over.is_set():
                _call(f"{public}/api/v1/auth/login", {"username": USERNAME, "password": PASSWORD})
                done.append(1)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=log_in) for _ in range(LOGINS_AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def _medians(runs: list[dict[int, Load]]) -> dict[int, Load]:
    return {connections: _median([run[connections] for run in runs]) for connections in CONNECTIONS}


def _median(loads: list[Load]) -> Load:
    return Load(
        rate=statistics.median(load.rate for load in loads),
        p99=statistics.median(load.p99 for load in loads),
        failed=sum(load.failed for load in loads),
    )


def _print(
    bare: dict[int, Load], agents: dict[int, Load], checks: list[tuple[Load, Load, int]]
) -> None:
    print("| case | connections | requests/s | p99 ms | failed | of the bare route | wanted |")
    print("|---|---|---|---|---|---|---|")
    for name, loads, wanted in (("bare", bare, ""), ("GET /agents/ with a JWT", agents, "0.25")):
        for connections, load in loads.items():
            ratio = load.rate / bare[connections].rate
            print(_row(name, connections, load, f"{ratio:.2f} | {wanted}"))
    alone, beside = (_median([check[place] for check in checks]) for place in (0, 1))
    logins = statistics.median(check[2] for check in checks)
    print("\n| key checks | connections | requests/s | p99 ms | failed | of those alone | wanted |")
    print("|---|---|---|---|---|---|---|")
    print(_row("alone", 16, alone, "1.00 | "))
    beside_row = f"{beside.rate / alone.rate:.2f} | more than 0.5"
    print(_row(f"beside {LOGINS_AT_ONCE} logins at once", 16, beside, beside_row))
    print(f"\nLogins meanwhile: {logins:.0f} a run.")


def _row(name: str, connections: int, load: Load, rest: str) -> str:
    return f"| {name} | {connections} | {load.rate:.0f} | {load.p99:.1f} | {load.failed} | {rest} |"


if __name__ == "__main__":
    main()
