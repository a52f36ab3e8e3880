"""Gateways for the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from maimconfig.runtime import Runtime
from tests.realtime.harness import RunningGateway


@pytest.fixture
def gateway(runtime: Runtime) -> Iterator[RunningGateway]:
    """A gateway on either database."""
    running = RunningGateway(runtime)
    yield running
    running.end()


@pytest.fixture
def gateway_with(runtime_with: Callable[..., Runtime]) -> Iterator[Callable[..., RunningGateway]]:
    """Makes a gateway with other settings, which has a runtime of its own."""
    with contextlib.ExitStack() as ends:

        def start(**changed: Any) -> RunningGateway:
            running = RunningGateway(runtime_with(**changed))
            ends.callback(running.end)
            return running

        yield start
