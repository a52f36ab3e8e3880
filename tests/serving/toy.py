"""A service of two toy planes for the tests: `python toy.py '{"workers": 2, ...}'`."""

from __future__ import annotations

import itertools
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maimconfig.serving import Bind, Load, Planes, ServeError, run

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MIB = 1024 * 1024

options: dict[str, Any] = {
    "binds": {"internal": "127.0.0.1:0", "public": "127.0.0.1:0"},
    "workers": 1,
    "threads": 8,
    "drain_seconds": 25,
    "affinity": False,
}
answered = itertools.count()
loads: list[Callable[[], Mapping[str, Load]]] = []


def plane(name: str) -> WSGIApplication:
    """The app of a plane: who it is, slow answers, and what it thinks of bodies."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        status, found = "200 OK", {"plane": name, "pid": os.getpid()}
        if path == "/slow":
            time.sleep(float(query))
        elif path == "/body":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            status = "200 OK" if length <= MIB else "413 Content Too Large"
            found["length"] = length
        elif path == "/large":
            found["filling"] = "x" * int(query)
        elif path == "/until-left":
            while not environ["waitress.client_disconnected"]():
                time.sleep(0.05)
            note("left")
        elif path == "/unchanged":
            start_response("304 Not Modified", [("ETag", '"1"')])
            return []
        elif path == "/load":
            found["load"] = {name: load._asdict() for name, load in loads[-1]().items()}
        elif path == "/environ":
            found["environ"] = {k: v for k, v in environ.items() if not callable(v)}
        body = json.dumps(found, default=str).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        next(answered)
        return [body]

    return app


def note(what: str) -> None:
    """Append a line to the test's file; so short a write is atomic."""
    with Path(options["notes"]).open("a") as notes:
        notes.write(f"{what} {os.getpid()}\n")


def make_apps() -> Planes:
    """What each worker serves, or how it fails."""
    if options.get("start") == "sentence":
        raise ServeError("the toy is broken")
    if options.get("start") == "bug":
        raise LookupError("no spring\nin the toy")
    if options.get("start") == "hang":
        note("starting")
        time.sleep(60)
    return Planes(
        apps={name: plane(name) for name in options.get("apps", options["binds"])},
        on_drain=on_drain,
        close=close,
        watch=loads.append,
    )


def on_drain() -> None:
    """Note it, or fail as somebody else's code may."""
    note("drain")
    if options.get("bad_drain"):
        raise LookupError("no plug")


def close() -> None:
    """Note how many requests were answered, or never come to an end."""
    note(f"close {next(answered)}")
    if options.get("bad_close"):
        time.sleep(60)


def announce(addresses: Mapping[str, str]) -> None:
    """One line of JSON for the test."""
    sys.stdout.write(json.dumps(dict(addresses)) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve as the options say."""
    options.update(json.loads(sys.argv[1]))
    logging.basicConfig(level=logging.INFO)
    if "files" in options:
        soft, hard = options["files"]
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (soft, hard or resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )
    return run(
        make_apps,
        {name: Bind.parse(text) for name, text in options["binds"].items()},
        workers=options["workers"],
        threads=options["threads"],
        affinity=options["affinity"],
        drain_seconds=options["drain_seconds"],
        announce=announce,
        warm=lambda: note("warm"),
    )


if __name__ == "__main__":
    sys.exit(main())
