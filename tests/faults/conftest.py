"""How long faults last, and the services that the tests of a module share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.service import LiveService

FULL = os.environ.get("MAIMCONFIG_TEST_OUTAGE_SECONDS")

Start = Callable[..., LiveService]


@pytest.fixture
def outage() -> float:
    """Seconds that something is away."""
    return float(FULL or 2)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a service that lasts as long as the module's tests, as `live_service` does for one:
    none of what is done to it may harm it for longer than the fault lasts.
    """
    with contextlib.ExitStack() as ends:

        def begin(database_url: str | None = None, *arguments: str, **options: Any) -> LiveService:
            folder = tmp_path_factory.mktemp("service")
            return ends.enter_context(
                contextlib.closing(LiveService(folder, database_url, *arguments, **options))
            )

        yield begin
