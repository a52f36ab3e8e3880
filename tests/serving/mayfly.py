"""A supervisor whose workers die young, for the tests: `python mayfly.py '{"mode": ...}'`."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maimconfig.serving import ServeError, supervisor
from maimconfig.serving.children import REPLACED, Body, Child, fork

options: dict[str, Any] = json.loads(sys.argv[1])
forks: list[int] = []


def births() -> int:
    """How many workers there have been, this one among them."""
    with Path(options["notes"]).open("a") as notes:
        notes.write(f"born {os.getpid()}\n")
    return len(Path(options["notes"]).read_text().splitlines())


def live(slot: int, ready: Callable[[], None]) -> int:
    """A worker's life, of the kind that the test asked for."""
    number, mode = births(), options["mode"]
    bad = mode == "ends badly" or (mode == "old ones end badly" and number <= 2)
    for number_of_signal in (signal.SIGTERM, REPLACED):
        signal.signal(number_of_signal, lambda *_: os._exit(7 if bad else 0))
    if mode == "newcomers fail" and number > 2:
        return 1
    if mode == "newcomers hang" and number > 2:
        time.sleep(60)
    ready()
    if mode == "all die" or (mode == "one dies" and slot == 1):
        return 3
    while True:
        time.sleep(60)


def fork_sometimes(slot: int, body: Body) -> Child:
    """A system that has no process when the test says so."""
    forks.append(slot)
    if len(forks) in options.get("failing_forks", []):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
    return fork(slot, body)


def main() -> int:
    """Supervise two of them."""
    logging.basicConfig(level=logging.INFO)
    vars(supervisor)["fork"] = fork_sometimes
    mayflies = supervisor.Supervisor(
        live,
        2,
        on_ready=lambda: print("{}", flush=True),  # noqa: T201
        on_stop=lambda: None,
        patience=supervisor.Patience(drain=2, start=1, pause=0.3, grown=0.5, tries=5),
    )
    try:
        return mayflies.run()
    except ServeError as error:
        sys.stderr.write(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
