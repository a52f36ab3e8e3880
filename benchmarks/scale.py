"""Every list and report on a large database against the same call on a small one.

    python -m benchmarks.scale [--database URL] [--calls 40] [--keep FOLDER] [--only TEXT]

Fills two databases by bulk inserts, starts the service on each, and asks both in turn. Prints a
table, worst first, and ends with 1 when a p95 is more than 5 times that of the small database.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import scale_cases, scale_jobs
from benchmarks.processes import Served
from benchmarks.scale_cases import Case, Subjects
from benchmarks.scale_data import Rows
from benchmarks.scale_fill import PASSWORD, environment, filled_rows
from benchmarks.scale_ids import BIG, SMALL, Sizes

LIMIT = 5.0
WARM_UP = 3


@dataclass
class Filled:
    """A database with its rows, and the service on it.

    Attributes:
        env: of the service.
        tokens: access tokens of the administrator and of the first tenant's owner.
    """

    name: str
    rows: Rows
    env: dict[str, str]
    urls: dict[str, str]
    tokens: dict[str, str]
    connections: dict[str, http.client.HTTPConnection]

    def ask(self, case: Case, place: int | None = None) -> tuple[float, Any, Any]:
        """Milliseconds of a call, its headers and its body."""
        connection = self.connections[case.plane]
        headers = {"Accept": case.accept, **self._shown(case)}
        url = case.url(place)
        began = time.perf_counter()
        connection.request("GET", url, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise SystemExit(f"{self.name}: {url} {answer.status} {body[:300]!r}")
        return took, answer.headers, body

    def change(self, method: str, path: str, body: dict[str, Any]) -> float:
        """Milliseconds of a call that writes, by an administrator."""
        headers = {"Content-Type": "application/json"}
        if path.startswith("/api/v1/admin"):
            headers["Authorization"] = f"Bearer {self.tokens['admin']}"
        connection = self.connections["internal"]
        began = time.perf_counter()
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status != 200:
            raise SystemExit(f"{self.name}: {path} {answer.status} {said[:300]!r}")
        return took

    def _shown(self, case: Case) -> dict[str, str]:
        if case.path.startswith("/v1/") or case.path.startswith("/api/v2/chat"):
            return {"Authorization": f"Bearer {self.rows.secret(0)}"}
        if case.path.startswith("/api/v2/"):
            return {}
        if case.path == "/api/v1/plugins/settings" and case.plane == "internal":
            return {}
        role = "admin" if case.path.startswith(("/api/v1/admin", "/api/v1/chat")) else "owner"
        return {"Authorization": f"Bearer {self.tokens[role]}"}


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        folder = Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory()))
        big, small = (
            stack.enter_context(_served(folder, name, sizes, options.database))
            for name, sizes in (("big", BIG), ("small", SMALL))
        )
        asked = [*_measured(big, small, options), *_written(big, small, options)]
        found = sorted(asked, key=lambda one: -one.ratio)
        env = big.env
        if options.jobs:
            stack.close()  # the jobs have the database for themselves
            scale_jobs.backup(env, Path(env["MAIMCONFIG_INSTANCE"]).parent)
            scale_jobs.jobs(env)
    _print(found)
    sys.exit(any(one.ratio > LIMIT for one in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", help="MySQL account that may create databases; else SQLite")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--keep", help="folder of the databases, to measure them again")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--jobs", action="store_true", help="run the jobs too, which delete rows")
    return parser.parse_args()


@contextmanager
def _served(folder: Path, name: str, sizes: Sizes, server: str | None) -> Iterator[Filled]:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    env = environment(place, name, server)
    rows = filled_rows(place, env, sizes, server)
    command = ["-m", "maimconfig", "serve"]
    with Served(command, ["internal", "public"], env, place / "errors.log") as served:
        connections = {
            plane: http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
            for plane, url in served.urls.items()
        }
        filled = Filled(name, rows, env, served.urls, {}, connections)
        filled.tokens = {role: _log_in(filled, user) for role, user in
                         (("admin", "scale-admin"), ("owner", "user0"))}  # fmt: skip
        yield filled
        print(f"{name}: RSS {served.rss_mb():.0f} MB after the calls", flush=True)


def _log_in(filled: Filled, username: str) -> str:
    connection = filled.connections["internal"]
    body = json.dumps({"username": username, "password": PASSWORD})
    connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    answer = json.load(connection.getresponse())
    return str(answer.get("access_token") or answer["data"]["access_token"])


@dataclass(frozen=True)
class Found:
    """What a case took, in milliseconds at the 95th percentile, and its answers' bytes."""

    name: str
    plane: str
    big: float
    small: float
    big_bytes: int
    small_bytes: int

    @property
    def ratio(self) -> float:
        return self.big / self.small


def _measured(big: Filled, small: Filled, options: argparse.Namespace) -> Iterator[Found]:
    for plane in ("internal", "public"):
        of_each = [_cases(filled, plane) for filled in (big, small)]
        for of_big, of_small in zip(*of_each, strict=True):
            if any(part in of_big.name for part in options.only.split(",")):
                one = _compared((big, of_big), (small, of_small), options.calls)
                if one.ratio > LIMIT and one.big < 200:  # again: it may have been the machine
                    one = _compared((big, of_big), (small, of_small), options.calls * 2)
                print(f"{one.ratio:6.1f} {one.big:8.1f} {one.small:6.1f} {plane} {one.name}",
                      flush=True)  # fmt: skip
                yield one


def _written(big: Filled, small: Filled, options: argparse.Namespace) -> Iterator[Found]:
    of_each = [scale_jobs.writes(filled.rows) for filled in (big, small)]
    for name in of_each[0]:
        if not any(part in name for part in options.only.split(",")):
            continue
        times: list[list[float]] = [[], []]
        for number in range(WARM_UP + options.calls):
            for which, filled in enumerate((big, small)):
                took = filled.change(*of_each[which][name])
                if number >= WARM_UP:
                    times[which].append(took)
        yield Found(name, "internal", *map(_p95, times), 0, 0)


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


def _cases(filled: Filled, plane: str) -> list[Case]:
    connection = filled.connections[plane]
    connection.request("GET", "/openapi.json")
    document = json.load(connection.getresponse())
    return list(scale_cases.cases(plane, document, Subjects(filled.rows)))


def _compared(of_big: tuple[Filled, Case], of_small: tuple[Filled, Case], calls: int) -> Found:
    both = [(filled, case, _place(filled, case)) for filled, case in (of_big, of_small)]
    times: list[list[float]] = [[], []]
    sizes = [0, 0]
    for number in range(WARM_UP + calls):
        for which, (filled, case, place) in enumerate(both):
            took, _, body = filled.ask(case, place)
            sizes[which] = len(body)
            if number >= WARM_UP:
                times[which].append(took)
        if number > 12 and sum(times[0]) > 20_000:
            break
    return Found(of_big[1].name, of_big[1].plane, *map(_p95, times), *sizes)


def _place(filled: Filled, case: Case) -> int | None:
    """Which page, or how many rows to skip, is the middle or the end of a list."""
    if case.paged_by is None or case.where == "first":
        return None
    _, headers, body = filled.ask(case)
    told = json.loads(body)
    total = headers.get("X-Total-Count", _told(told, "total"))
    if total is None:  # of own agents none is told
        total = filled.rows.sizes.agents // 2
    size = _told(told, "page_size") or 20
    last = max((int(total) - 1) // size, 0)
    page = last if case.where == "last" else last // 2
    return page + 1 if case.paged_by == "page" else page * size


def _told(answer: Any, name: str) -> int | None:
    """A number that an answer tells of its list, wherever it stands in it."""
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get(name), int):
        return int(answer[name])
    inner = (_told(answer.get(within), name) for within in ("data", "pagination"))
    return next((number for number in inner if number is not None), None)


def _print(found: Sequence[Found]) -> None:
    print("\n| ratio | big ms | small ms | bytes | plane | case |")
    print("|---|---|---|---|---|---|")
    for one in found:
        print(f"| {one.ratio:.1f} | {one.big:.1f} | {one.small:.1f} "
              f"| {one.big_bytes} / {one.small_bytes} | {one.plane} | {one.name} |")  # fmt: skip
    over = [one for one in found if one.ratio > LIMIT]
    print(f"\n{len(found)} cases, {len(over)} over {LIMIT:.0f}")


if __name__ == "__main__":
    main()
