"""A supervisor whose workers die young, for the tests: `python mayfly.py '{"mode": ...}'`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maimconfig.serving.supervisor import Patience, Supervisor

options: dict[str, Any] = json.loads(sys.argv[1])


def births() -> int:
    """How many workers there have been, this one among them."""
    with Path(options["notes"]).open("a") as notes:
        notes.write(f"born {os.getpid()}\n")
    return len(Path(options["notes"]).read_text().splitlines())


def live(slot: int, ready: Callable[[], None]) -> int:
    """A worker's life, of the kind that the test asked for."""
    number, mode = births(), options["mode"]
    if mode == "newcomers fail" and number > 2:
        return 1
    if mode == "newcomers hang" and number > 2:
        time.sleep(60)
    ready()
    if mode == "all die" or (mode == "one dies" and slot == 1):
        return 3
    if mode == "ends badly":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    while True:
        time.sleep(60)


def main() -> int:
    """Supervise two of them."""
    logging.basicConfig(level=logging.INFO)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    return Supervisor(
        live,
        2,
        on_ready=lambda: print("{}", flush=True),  # noqa: T201
        on_stop=lambda: None,
        patience=Patience(drain=2, start=1, pause=0.3, grown=0.5, tries=5),
    ).run()


if __name__ == "__main__":
    sys.exit(main())
