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
    """Starts a service as `live_service` does, but it ends with the module.

    `cpu=1` binds it to the second CPU; left alone, each service takes the first.
    """
    with contextlib.ExitStack() as ends:

        def start(
            database_url: str, *arguments: str, cpu: int | None = None, **options: Any
        ) -> LiveService:
            folder = Path(tmp_path_factory.mktemp("service"))
            with contextlib.nullcontext() if cpu is None else _bound_to(cpu):
                service = LiveService(folder, database_url, *arguments, **options)
            ends.callback(service.close)
            return service

        yield start


@contextlib.contextmanager
def _bound_to(index: int) -> Iterator[None]:
    """What is started meanwhile runs on this one of the CPUs, counted round."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[index % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
