"""What it costs to store messages, by how many come together.

    python -m benchmarks.intake [--url DATABASE_URL] [--messages 2000]

Without a URL on a SQLite file of its own; a database that is named must be empty.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace

from maimconfig.conversations import intake
from maimconfig.conversations.intake import Incoming
from maimconfig.runtime import Runtime
from maimconfig.setting_types import database_url
from maimconfig.settings import load_settings
from tests.factories import conversations

CONVERSATIONS = 200
TOGETHER = (1, 5, 10, 50)


def main() -> None:
    """Print a line for each size of batch."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--url")
    arguments.add_argument("--messages", type=int, default=2000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"MAIMCONFIG_INSTANCE": folder})
        if given.url:
            settings = replace(settings, database_url=database_url(given.url))
        runtime = Runtime.open(settings, auto_migrate=True)
        runtime.answering.drain()  # what is owed stays owed: only the intake is measured
        agent = conversations.agent(runtime)
        talks = conversations.talks(runtime, agent, CONVERSATIONS)
        for together in TOGETHER:
            measure(runtime, talks, together, given.messages)
        runtime.close()


def measure(
    runtime: Runtime, talks: list[conversations.Talk], together: int, messages: int
) -> None:
    """Store messages, so many at a time, each of another conversation."""
    batches: list[list[Incoming]] = [
        [
            talks[number % CONVERSATIONS].incoming(
                "你好，请问" * 4, client_id=f"{together}-{number}"
            )
            for number in range(first, first + together)
        ]
        for first in range(0, messages, together)
    ]
    cpu, wall = time.process_time(), time.perf_counter()
    for batch in batches:
        runtime.write(lambda session, batch=batch: intake.store_many(session, batch))  # type: ignore[misc]
    stored = len(batches) * together
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{together:3} together: {cpu / stored * 1e6:5.0f} us CPU, {wall / stored * 1e6:5.0f} us")


if __name__ == "__main__":
    main()
