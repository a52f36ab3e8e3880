"""Whether a wrong password takes as long as an unknown user: medians of interleaved tries.

    python -m benchmarks.logins [--url DATABASE_URL] [--tries 200]

Each kind is tried as often over one connection to the real service; the two take turns at
beginning, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.processes import Served

USERNAME, PASSWORD = "bench-owner", "correct horse battery"
KINDS = {
    "wrong password": {"username": USERNAME, "password": "wrong horse battery"},
    "unknown user": {"username": "bench-nobody", "password": "wrong horse battery"},
}


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["-m", "maimconfig", "serve", "--auto-migrate"]
        env = _environment(folder, options.url)
        with Served(command, ["public"], env, folder / "errors.log") as served:
            address = urlsplit(served.urls["public"])
            with closing(http.client.HTTPConnection(str(address.hostname), address.port)) as client:
                times = _measure(client, options.tries)
    _print(times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="empty database to measure on; a fresh SQLite file if absent")
    parser.add_argument("--tries", type=int, default=200, help="of each kind")
    return parser.parse_args()


def _environment(folder: Path, url: str | None) -> dict[str, str]:
    return {
        "MAIMCONFIG_INSTANCE": str(folder / "instance"),
        "MAIMCONFIG_INTERNAL_BIND": "",
        "MAIMCONFIG_PUBLIC_BIND": "127.0.0.1:0",
        "MAIMCONFIG_REALTIME_BIND": "",
        "MAIMCONFIG_LOG_FILE": str(folder / "service.log"),
        "MAIMCONFIG_LOGIN_ATTEMPTS_PER_MINUTE": "1000000",
        **({"DATABASE_URL": url} if url else {}),
    }


def _measure(client: http.client.HTTPConnection, tries: int) -> dict[str, list[float]]:
    status, _ = _post(client, "register", {"username": USERNAME, "password": PASSWORD})
    assert status == 200, status
    bodies = set()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(tries):
        for kind in sorted(KINDS, reverse=bool(number % 2)):
            began = time.perf_counter()
            status, answer = _post(client, "login", KINDS[kind])
            times[kind].append(time.perf_counter() - began)
            assert status == 401, (status, answer)
            bodies.add(_told(answer))
    assert len(bodies) == 1, bodies
    return times


def _post(client: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json"}
    client.request("POST", f"/api/v1/auth/{path}", json.dumps(body), headers)
    answer = client.getresponse()
    return answer.status, json.load(answer)


def _told(answer: dict[str, Any]) -> str:
    told = {name: answer[name] for name in answer.keys() - {"timestamp", "request_id"}}
    return json.dumps(told, sort_keys=True)


def _print(times: dict[str, list[float]]) -> None:
    medians = {kind: statistics.median(found) * 1000 for kind, found in times.items()}
    print("| login | tries | median ms |")
    print("|---|---|---|")
    for kind, found in times.items():
        print(f"| {kind} | {len(found)} | {medians[kind]:.2f} |")
    wrong, unknown = medians.values()
    print(f"\nThe bodies are the same; unknown user / wrong password: {unknown / wrong:.3f}.")


if __name__ == "__main__":
    main()
