"""Services that the tests of a module share: to start one takes longer than most tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.service import LiveService


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Starts a service as `live_service` does, each on the next CPU; it ends with the module."""
    cpus = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as ends:
        services: list[LiveService] = []

        def start(database_url: str, *arguments: str, **options: Any) -> LiveService:
            folder = tmp_path_factory.mktemp("service")
            with _bound_to(cpus[len(services) % len(cpus)]):
                service = LiveService(Path(folder), database_url, *arguments, **options)
            ends.callback(service.close)
            services.append(service)
            return service

        yield start


@contextlib.contextmanager
def _bound_to(cpu: int) -> Iterator[None]:
    """What is started meanwhile runs on this CPU. Left alone, each service takes the first."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
